"""Events go by whole months, in a run after the one that said so, and no count goes with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from clickhouse.drift import drift, everything
from clickhouse.engine import Engine
from clickhouse.migrate import migrate
from clickhouse.partitions import Partition, partition_of
from clickhouse.rebuild import begin, stagings, swap
from clickhouse.retention import watermark
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.statement import Statement
from clickhouse.tables import Tables
from service.state import State
from tests.conftest import NewDsn
from tests.damage import events, lose, store
from tests.oracle import Site
from tests.oracle_calendar import instant
from tests.oracle_rollups import rollup_in, rollup_of
from tests.service import open_service
from workers import lease as leases
from workers import rebuild as rebuilding
from workers.fence import Fence
from workers.jobs.job import Unit
from workers.jobs.retaining import compaction_units, retention_units
from workers.jobs.tasks import TASKS
from workers.jobs.work import Outcome, Work
from workers.metrics import Metrics
from workers.rebuild import rebuild
from workers.retention import retain
from workers.versions import Versions

DAYS, YEARS = GRAINS[3], GRAINS[-1]
STORED = events(60)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


class Clock:
    """What a worker takes for now."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Worker:
    def __init__(self, engine: Engine, redis: Redis) -> None:
        self.engine, self.clock, self.fence = engine, Clock(), Fence(redis)
        self._work = Work(engine, redis, self.fence, Versions(redis), Tables(engine), Metrics(), self.clock.now)

    async def do(self, unit: Unit) -> Outcome:
        return await TASKS[unit.task](self._work, unit.arguments, lambda rows: None)

    async def do_all(self, units: list[Unit]) -> list[str]:
        """Also what they bring; their notes."""
        notes = []
        while units:
            unit, *units = units
            outcome = await self.do(unit)
            notes.append(outcome.note)
            units += outcome.more
        return notes


@pytest.fixture
async def worker(engine: Engine, redis: Redis) -> Worker:
    await migrate(engine)
    return Worker(engine, redis)


async def months(engine: Engine) -> dict[int, int]:
    """Parts of raw by month."""
    rows = await engine.select(
        Statement(
            "SELECT toUInt32(partition_id), count() FROM system.parts"
            " WHERE active AND database = currentDatabase() AND table = 'view_events' GROUP BY ALL ORDER BY ALL"
        )
    )
    return {row[0]: row[1] for row in rows}


async def test_events_expire_and_every_count_stays(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickhouse.tables.WATERMARK", -1)  # processes need not wait a minute here
    now = datetime.now(UTC)
    site = Site()

    def view(at: str, blog: str = "b") -> dict[str, str]:
        return {"blog_id": blog, "author_id": "a", "country": "ET", "viewed_at": at}

    async with open_service(new_dsn(), redis_url, tmp_path, raw_retention_days=400) as service:
        state: State = service.app.state.readership
        worker = Worker(state.engine, state.redis)
        posted = [view("2020-02-29T12:00:00Z"), view("2020-12-31T23:59:59Z", "c"), view(now.isoformat())]
        units = retention_units(state.settings.raw_retention_days)

        async def agree() -> None:
            for asked in ({}, {"group_by": "blog", "interval": "month"}, {"group_by": "user", "interval": "week"}):
                answer = await service.ask("/api/analytics/blog-views", **asked)
                assert answer["results"] == site.blog_views(asked)
            answer = await service.ask("/api/analytics/performance", compare="month")
            assert answer["results"] == site.performance({"compare": "month"})

        await service.post(posted)
        site.post(posted)
        stored = set(await months(state.engine))
        kept = {int(f"{now:%Y%m}")}

        notes = await worker.do_all(units)
        assert await months(state.engine) == dict.fromkeys(stored, 1), "what is written now goes later"
        assert (now - timedelta(days=400)).strftime("%Y-%m-01T00:00:00Z") in notes[-1]
        await agree()
        worker.clock.ahead = timedelta(minutes=9)
        await worker.do_all(units)
        assert set(await months(state.engine)) == stored
        worker.clock.ahead = timedelta(hours=24)
        notes = await worker.do_all(units)
        assert set(await months(state.engine)) == stored, "an event sent again within a day is looked for"
        assert "late events came into 202002, 202012" in notes[-1]
        worker.clock.ahead = timedelta(hours=26)
        notes = await worker.do_all(units)
        assert set(await months(state.engine)) == kept
        assert "dropped 202002, 202012" in notes[-1]
        await agree()

        late = [view("2020-02-29T18:00:00Z", "late")]
        await service.post(late)
        site.post(late)
        await agree()
        worker.clock.ahead = timedelta(minutes=11)
        await worker.do_all(units)
        assert 202002 in await months(state.engine)
        for grain in (DAYS, YEARS):
            await rebuild(state.engine, worker.fence, partition_of(grain, instant("2020-02-29T00:00:00Z")))
        await agree()
        worker.clock.ahead = timedelta(hours=26)
        await worker.do_all(units)
        assert set(await months(state.engine)) == kept
        await agree()
        assert await drift(state.engine, VIEWS, await everything(state.engine, VIEWS)) == []


async def test_the_watermark_never_goes_back(worker: Worker) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    first = await retain(worker.engine, worker.fence, VIEWS, 30, now)
    assert first.since == instant("2026-10-01T00:00:00Z")
    assert (await retain(worker.engine, worker.fence, VIEWS, 300, now)).since == first.since
    assert (await retain(worker.engine, worker.fence, VIEWS, 1, now)).since == instant("2026-11-01T00:00:00Z")
    assert await watermark(worker.engine, VIEWS) == instant("2026-11-01T00:00:00Z")


async def test_without_a_retention_no_event_goes(worker: Worker) -> None:
    await store(worker.engine, STORED)
    held = await months(worker.engine)
    worker.clock.ahead = timedelta(days=9999)
    for _ in range(2):
        await worker.do_all(retention_units(None))
    assert await months(worker.engine) == held
    assert await watermark(worker.engine, VIEWS) == 0


async def test_what_a_crash_left_of_a_rebuild_is_dropped_unless_somebody_is_at_it(worker: Worker, redis: Redis) -> None:
    for id_ in ("2020", "2021"):
        await begin(worker.engine, Partition(DAYS, id_))
    busy = Partition(DAYS, "2021").staging
    async with Fence(redis).alone(busy):
        assert await worker.do_all(retention_units(None)) == ["dropped rebuild_views_by_day_2020"]
        assert await stagings(worker.engine) == [busy]
    assert await worker.do_all(retention_units(None)) == [f"dropped {busy}"]
    assert await stagings(worker.engine) == []


async def test_closed_months_of_raw_become_one_part_each(worker: Worker) -> None:
    for number in range(3):
        await store(worker.engine, STORED[number * 20 : number * 20 + 20])
    held = await months(worker.engine)
    assert min(held.values()) > 1
    worker.clock.ahead = timedelta(hours=20)
    assert await worker.do_all(compaction_units()) == ["0 months in several parts"]
    assert await months(worker.engine) == held
    worker.clock.ahead = timedelta(hours=30)
    first = await worker.do(compaction_units()[0])
    stages = [unit.stage for unit in first.more]
    assert stages == sorted(set(stages)), "one at a time"
    await worker.do_all(compaction_units())
    assert await months(worker.engine) == dict.fromkeys(held, 1)
    for grain in GRAINS:
        assert await rollup_in(worker.engine, grain.name) == rollup_of(grain.name, STORED)


async def test_a_rebuild_cancelled_in_its_swap_ends_that_before_anybody_inserts(
    worker: Worker, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(worker.engine, STORED[:30])
    partition = Partition(DAYS, "2020")
    await lose(worker.engine, partition, "1")
    swapping, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(engine: Engine, of: Partition) -> None:
        swapping.set()
        await goes_on.wait()
        await swap(engine, of)

    monkeypatch.setattr(rebuilding, "swap", slow)
    rebuild_ = asyncio.create_task(rebuild(worker.engine, worker.fence, partition))
    await swapping.wait()
    rebuild_.cancel()

    async def flush() -> None:
        async with Fence(redis).flushing("flusher"):
            assert goes_on.is_set()
            await store(worker.engine, STORED[30:])

    flushing = asyncio.create_task(flush())
    await asyncio.sleep(0.1)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await rebuild_
    await flushing
    assert await rollup_in(worker.engine, "day") == rollup_of("day", STORED)
