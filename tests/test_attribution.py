"""Blogs that got an author late, or another one: their views follow, and every grain says the same."""

from __future__ import annotations

from collections import defaultdict

import pytest
from redis.asyncio import Redis

from clickhouse.attribution import keep_former, to_move
from clickhouse.blogs import Blog, upsert_blogs
from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.origins import Source
from clickhouse.rollups import EVENTS, GRAINS
from clickhouse.spans import Span, month_of
from clickhouse.statement import Statement
from tests.damage import events, store
from tests.jobs_by_hand import Hands
from tests.oracle_calendar import instant, period_of
from tests.oracle_rollups import rollup_in, rollup_of
from tests.service import Service
from tests.test_deleting import finished
from workers.jobs.attributing import attribute_unit
from workers.jobs.job import Kind

ALL = Span(instant("2000-01-01T00:00:00Z"), instant("2030-01-01T00:00:00Z"))

# Three months, a week that begins in another year than it ends in; few partitions, as each is rebuilt.
DAYS = ("2020-02-29", "2020-06-30", "2020-12-31")

# Events name a0, a1, a2 (by their blog's number), or nobody. b0 and b3 were a0's by the registry, too.
REGISTERED = {"b0": "new", "b1": "new", "b2": "a2", "b3": "a1", "b4": ""}
FORMER = {("b0", "a0"), ("b0", "older"), ("b3", "a0"), ("b3", "a1"), ("b4", "a1")}


@pytest.fixture
def stored() -> list[Event]:
    return [event._replace(author_id="") if at % 3 == 0 else event for at, event in enumerate(events(200, days=DAYS))]


def moved(event: Event) -> Event:
    """As the registry says, of site `s` alone."""
    author = REGISTERED.get(event.blog_id) if event.site == "s" else None
    follows = event.author_id == "" or (event.blog_id, event.author_id) in FORMER
    return event._replace(author_id=author) if author and follows else event


@pytest.fixture
async def filled(engine: Engine, stored: list[Event]) -> Engine:
    await migrate(engine)
    await store(engine, stored)
    await keep_former(engine, [(("s", blog), author) for blog, author in FORMER])
    await upsert_blogs(engine, [Blog("s", blog, "", author, "", 0) for blog, author in REGISTERED.items()])
    return engine


async def assert_is(engine: Engine, expected: list[Event]) -> None:
    rows = await engine.select(Statement(f"SELECT site, blog_id, author_id, viewer FROM {EVENTS}"))
    assert sorted(map(tuple, rows)) == sorted((e.site, e.blog_id, e.author_id, e.viewer) for e in expected)
    for grain in GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, expected), grain.name


async def test_to_be_moved_are_events_without_an_author_and_with_a_former_one(
    filled: Engine, stored: list[Event]
) -> None:
    expected: dict[Span, int] = {}
    for event in stored:
        month = period_of(event.viewed_at, "month", "UTC").name.replace("-", "")
        expected[month_of(int(month))] = expected.get(month_of(int(month)), 0) + (moved(event) != event)
    found = await to_move(filled, [ALL])
    assert found == {month: count for month, count in expected.items() if count}
    assert list(found) == sorted(found)
    june = instant("2020-06-30T12:00:00Z")
    assert await to_move(filled, [Span(june, june + 1)]) == {
        month: count for month, count in found.items() if month == month_of(202006)
    }
    assert await to_move(filled, []) == {}


@pytest.mark.parametrize(("source", "crashing"), [(Source.RAW, True), (Source.ROLLUP, False)])
async def test_every_grain_tells_of_them_afterwards(
    filled: Engine, redis: Redis, stored: list[Event], source: Source, crashing: bool
) -> None:
    hands = Hands(filled, redis)
    job = await hands.ledger.create(Kind.BACKFILL, {"crashing": crashing}, [attribute_unit(ALL, source)])
    done = await hands.finish(job, crashing=crashing)
    expected = [moved(event) for event in stored]
    await assert_is(filled, expected)
    assert await to_move(filled, [ALL]) == {}
    count = sum(one != other for one, other in zip(stored, expected, strict=True))
    assert [one.note for one in done.units if "events went to" in one.note] == (
        [] if crashing else [f"{count} events went to the author their blog is registered with"]
    )
    # There is nothing left to do.
    again = await hands.ledger.create(Kind.BACKFILL, {"crashing": crashing}, [attribute_unit(ALL, source)])
    assert len((await hands.finish(again)).units) == 1


async def test_a_move_cut_off_leaves_a_table_that_the_next_one_drops(
    filled: Engine, redis: Redis, stored: list[Event]
) -> None:
    await filled.execute(Statement("CREATE TABLE attribution_to_join (x UInt8) ENGINE = Memory"))
    hands = Hands(filled, redis)
    await hands.finish(await hands.ledger.create(Kind.BACKFILL, {}, [attribute_unit(ALL)]))
    await assert_is(filled, [moved(event) for event in stored])
    assert await filled.select(Statement("SELECT 1 FROM system.tables WHERE name = 'attribution_to_join'")) == []


async def test_a_backfill_of_one_grain_answers_the_same_at_every_grain(fresh_service: Service, site: str) -> None:
    service = fresh_service

    async def post(blog: str, count: int, **more: str) -> None:
        times = [f"2021-0{1 + at % 3}-1{at % 9}T05:05:05Z" for at in range(count)]
        await service.post([{"site": site, "blog_id": blog, "viewed_at": at, **more} for at in times])

    await service.put("/api/blogs", {"blog_id": "a", "site": site, "author_id": "ada"})
    await post("a", 4)
    await post("a", 3, author_id="ada")
    await post("a", 2, author_id="guest")
    await post("late", 5)
    await post("never", 1)
    await service.put("/api/blogs", [{"blog_id": blog, "site": site, "author_id": "bob"} for blog in ("a", "late")])
    asked = {"granularity": "month", "start": "2021-01-05", "end": "2021-12-31"}
    dry = await service.http.post("/api/backfills", json={**asked, "dry_run": True})
    assert (dry.status_code, dry.json()["reattributed"]) == (200, 12)
    response = await service.http.post("/api/backfills", json=asked)
    assert response.status_code == 202
    await finished(service, response.json())
    for interval in (None, "day", "week", "month", "year"):
        parameters = {"interval": interval} if interval else {}
        answer = await service.ask("/api/analytics/blog-views/user", site=site, page_size=1000, **parameters)
        views: dict[str, int] = defaultdict(int)
        for row in answer["results"]:
            views[row["id"]] += row["z"]
        assert views == {"bob": 12, "guest": 2, "": 1}, interval
    again = await service.http.post("/api/backfills", json={**asked, "dry_run": True})
    assert again.json()["reattributed"] == 0
