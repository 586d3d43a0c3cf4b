"""Labels are remembered for two seconds, and never longer than until they are changed here."""

from __future__ import annotations

import asyncio

import pytest

from clickhouse import labels as module
from clickhouse.blogs import Author, Blog, upsert_authors, upsert_blogs
from clickhouse.engine import Engine, Row
from clickhouse.labels import Labels
from clickhouse.migrate import migrate
from clickhouse.question import Group
from clickhouse.statement import Statement
from tests.service import Service, new_site


class Counting:
    """Counts what is asked, and answers when `gate` is open."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, statement: Statement) -> list[Row]:
        self.asked += 1
        found = await self._engine.ask(statement)
        await self.gate.wait()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


@pytest.fixture
async def counting(engine: Engine) -> Counting:
    await migrate(engine)
    await upsert_blogs(engine, [Blog("s", "a", "Title A", "u", "", 0), Blog("s", "b", "", "u", "", 0)])
    await upsert_authors(engine, [Author("s", "u", "ada", ""), Author("t", "u", "ada", "Ada of t")])
    return Counting(engine)


async def test_looked_up_once_by_site_and_group(counting: Counting) -> None:
    labels = Labels(counting)  # type: ignore[arg-type]
    for _ in range(3):
        assert await labels.of("s", Group.BLOG, {"a", "b", "gone", ""}) == {"a": "Title A"}
    assert counting.asked == 1
    assert await labels.of("s", Group.AUTHOR, ["u"]) == {"u": "ada"}
    assert await labels.of("t", Group.AUTHOR, ["u"]) == {"u": "Ada of t"}
    assert counting.asked == 3


async def test_old_ones_are_looked_up_again(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Labels(counting)  # type: ignore[arg-type]
    await labels.of("s", Group.BLOG, ["a"])
    monkeypatch.setattr(module, "FRESH", 0.0)
    await labels.of("s", Group.BLOG, ["a"])
    assert counting.asked == 2


async def test_what_was_found_before_a_change_is_not_remembered(counting: Counting, engine: Engine) -> None:
    labels = Labels(counting)  # type: ignore[arg-type]
    counting.gate.clear()
    asking = asyncio.create_task(labels.of("s", Group.BLOG, ["a"]))
    while not counting.asked:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    await upsert_blogs(engine, [Blog("s", "a", "Changed", "u", "", 0)])
    labels.forget()
    counting.gate.set()
    await asking
    assert await labels.of("s", Group.BLOG, ["a"]) == {"a": "Changed"}


async def test_changed_title_and_name_show_at_once(service: Service) -> None:
    site = new_site()
    await service.post([{"blog_id": "a", "author_id": "u", "site": site}])
    for name in ("One", "Two"):
        await service.put("/api/blogs", {"blog_id": "a", "title": name, "site": site})
        await service.put("/api/authors", {"author_id": "u", "name": name, "site": site})
        for top in ("blog", "user"):
            answer = await service.ask("/api/analytics/top", top=top, site=site)
            assert [row["x"] for row in answer["results"]] == [name]
