"""What plans are told of the tables' sizes."""

from __future__ import annotations

import pytest

from clickhouse import tables
from clickhouse.engine import Engine
from clickhouse.existing import Existing
from clickhouse.migrate import migrate
from clickhouse.statement import Statement
from clickhouse.tables import count

# Two days; on each 3 countries, 5 blogs of one author, 30 events.
EVENTS = """\
INSERT INTO view_events (site, blog_id, blog_number, author_id, country, viewed_at)
SELECT 's', toString(number % 5), number % 5, 'u', ['ET', 'US', ''][1 + number % 3],
    toDateTime64('2024-03-10 10:00:00', 3, 'UTC') + toIntervalDay(number % 2)
FROM numbers(60)"""


async def test_rows_per_bucket_and_blogs_per_row_are_counted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(engine)
    assert await count(engine) == Existing()
    await engine.execute(Statement(EVENTS))
    assert await count(engine) == Existing(), "too little to count"
    monkeypatch.setattr(tables, "LITTLE", 1)
    found = await count(engine)
    assert found.rows["view_events", ""] == 30
    assert {name: found.rows["views_by_day", name] for name in ("total", "country", "author", "author_blog")} == {
        "total": 1,
        "country": 3,
        "author": 1,
        "author_blog": 5,
    }
    assert found.rows["views_by_month", "country_author_blog"] == 15
    assert found.blogs["views_by_month", "total"] == 5
