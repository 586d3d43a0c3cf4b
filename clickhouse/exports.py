"""Rows of raw in the order they are kept, a portion at a time, each behind the last row of the one before.

Not as one long answer: that would keep one of chDB's handles for as long as the slowest client reads, and of a server's
answer that breaks off nobody can tell. What comes in meanwhile is there where it lies ahead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from clickhouse.engine import Engine, Row
from clickhouse.instants import epoch_ms
from clickhouse.pieces import between
from clickhouse.plan import Range
from clickhouse.question import SeriesQuestion
from clickhouse.rollups import EVENTS
from clickhouse.series import following, longest_labels
from clickhouse.statement import Statement, Value

# Some 10 MB of Python objects. A portion reads 35,000 rows of each part, whatever it takes of them.
ROWS = 50_000

# Of labels in a portion, which each row has its own copy of; a portion has LEAST rows however long they are.
_LABELS_BYTES = 2**25
_LEAST = 1_000


async def sample_portions(engine: Engine, question: SeriesQuestion, rows: int = ROWS) -> AsyncIterator[list[Row]]:
    """Rows `(labels as JSON, at in epoch ms, value)`, series after series, each from its first sample on; of a sample
    that was corrected the value that came last. Raises ClickHouseError, TooExpensive."""
    last: Row | None = None
    [[longest]] = await engine.ask(longest_labels(question))
    rows = min(rows, max(_LEAST, _LABELS_BYTES // max(1, longest)))
    while True:
        found = await engine.ask(following(question, rows, (last[0], last[1]) if last else None))
        yield [one for one, before in zip(found, [None, *found], strict=False) if not _same(one, before)]
        if len(found) < rows:
            return
        last = found[-1]


def _same(one: Row, before: Row | None) -> bool:
    return before is not None and one[1] == before[1] and one[0] == before[0]


async def event_portions(
    engine: Engine, site: str, start: datetime | None, end: datetime | None, rows: int = ROWS
) -> AsyncIterator[list[Row]]:
    """Rows `(event_id, site, blog_id, author_id, country, viewer, viewed_at in epoch ms, url, referrer)`, oldest first.
    Raises as `sample_portions`."""
    last: Row | None = None
    while True:
        found = await engine.ask(_events(site, start, end, rows, last))
        yield found
        if len(found) < rows:
            return
        last = found[-1]


def _events(site: str, start: datetime | None, end: datetime | None, limit: int, last: Row | None) -> Statement:
    values: dict[str, Value] = {"site": site, "limit": limit}
    conditions = ["t.site = {site:String}"]
    first = epoch_ms(start) if start else -float("inf")
    if last is not None:
        first = max(first, last[6])
        values |= {"last_at": last[6], "last_id": last[0]}
        at = "fromUnixTimestamp64Milli({last_at:Int64}, 'UTC')"
        conditions.append(f"(t.viewed_at > {at} OR (t.viewed_at = {at} AND t.event_id > {{last_id:UUID}}))")
    asked = Range(first, epoch_ms(end) if end else float("inf"))
    if sql := between(asked, "t.viewed_at", "DateTime64(3, 'UTC')", "asked", values):
        conditions.append(sql)
    where = "\n  AND ".join(conditions)
    sql = f"""\
SELECT
    toString(t.event_id), t.site, t.blog_id, t.author_id, t.country, toString(t.viewer),
    toUnixTimestamp64Milli(t.viewed_at), t.url, t.referrer
FROM {EVENTS} AS t
WHERE {where}
ORDER BY t.viewed_at, t.event_id
LIMIT {{limit:UInt32}}"""
    return Statement(sql, values)
