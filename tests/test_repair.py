"""What a crash spoilt is healed while events come in: none is lost, none counted twice, and no reader sees a gap."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from clickhouse.drift import drift, everything
from clickhouse.engine import Engine
from clickhouse.errors import StillDrifting
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.partitions import Partition, partition_of
from clickhouse.rebuild import swap
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.spans import days_of
from clickhouse.statement import Statement
from tests.damage import add, events, lose, store
from tests.oracle_rollups import rollup_in, rollup_of
from workers import lease as leases
from workers import rebuild as rebuilding
from workers.fence import Fence
from workers.lease import Away
from workers.rebuild import rebuild
from workers.repair import repair
from workers.versions import Versions

STORED = events(120)
TOUCHED = days_of(event.viewed_at for event in STORED[:2])
DAYS = GRAINS[3]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


@pytest.fixture
async def filled(engine: Engine) -> Engine:
    await migrate(engine)
    await store(engine, STORED)
    return engine


async def assert_right(engine: Engine, stored: list[Event]) -> None:
    for grain in GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, stored), grain.name


async def test_a_batch_lost_and_one_doubled_are_repaired(filled: Engine, redis: Redis) -> None:
    fence, versions = Fence(redis), Versions(redis)
    before = await versions.find("s", "key")
    at = STORED[0].viewed_at
    lost, doubled = partition_of(DAYS, at), partition_of(GRAINS[-1], at)
    await lose(filled, lost, "1")
    await add(filled, doubled, f"SELECT * FROM {doubled.grain.table} WHERE _partition_id = '{doubled.id}'")
    async with fence.flushing("flusher"):
        repaired = await repair(filled, fence, versions, VIEWS, TOUCHED, "flusher")
    assert [one.partition for one in repaired] == [lost, doubled]
    assert all(one.found != one.expected for one in repaired)
    await assert_right(filled, STORED)
    after = await versions.find("s", "key")
    assert before
    assert after
    assert before.version != after.version


async def test_what_is_right_is_left_alone(filled: Engine, redis: Redis) -> None:
    before = await Versions(redis).find("s", "key")
    assert await repair(filled, Fence(redis), Versions(redis), VIEWS, TOUCHED, "f") == []
    after = await Versions(redis).find("s", "key")
    assert before == after


class Traffic:
    """Another process's flusher, and readers of the total that may never see it fall."""

    def __init__(self, engine: Engine, redis: Redis) -> None:
        self._engine, self._fence = engine, Fence(redis)
        self.batches = [events(10, seed=seed) for seed in range(100, 160)]
        self.stored: list[Event] = []
        self.seen = {grain.table: [0] for grain in GRAINS}
        self._done = asyncio.Event()

    async def write(self) -> None:
        for batch in self.batches:
            if self._done.is_set():
                return
            async with self._fence.flushing("traffic"):
                await store(self._engine, batch)
            self.stored += batch

    async def read(self) -> None:
        while not self._done.is_set():
            for table, seen in self.seen.items():
                rows = await self._engine.select(
                    Statement(f"SELECT sum(views) FROM {table} WHERE dimension_set = 'total'")
                )
                seen.append(rows[0][0])

    async def __aenter__(self) -> Traffic:
        self._tasks = [asyncio.create_task(self.write()), asyncio.create_task(self.read())]
        while len(self.stored) < 10:
            await asyncio.sleep(0.01)
            assert not self._tasks[0].done()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done.set()
        await asyncio.gather(*self._tasks)


async def test_rebuilding_under_load_loses_nothing_and_shows_no_gap(filled: Engine, redis: Redis) -> None:
    async with Traffic(filled, redis) as traffic:
        for grain in GRAINS:
            await rebuild(filled, Fence(redis), partition_of(grain, STORED[-1].viewed_at))
        stored = len(traffic.stored)
    assert stored > 20, "too little came in meanwhile to show anything"
    assert all(seen == sorted(seen) for seen in traffic.seen.values())
    await assert_right(filled, [*STORED, *traffic.stored])


async def test_a_batch_on_its_way_is_no_drift(filled: Engine, redis: Redis) -> None:
    async with Traffic(filled, redis):
        for _ in range(3):
            assert await repair(filled, Fence(redis), Versions(redis), VIEWS, TOUCHED, "f") == []


class Unfenced:
    """Somebody for whom Redis is away inserts at the worst moment: between the last look and the swap."""

    def __init__(self, engine: Engine, times: int) -> None:
        self._engine = engine
        self.times = times
        self.stored: list[Event] = []

    async def swap(self, engine: Engine, partition: Partition) -> None:
        if self.times:
            self.times -= 1
            batch = [event._replace(viewed_at=partition.span.start) for event in events(5, seed=self.times)]
            await store(self._engine, batch)
            self.stored += batch
        await swap(engine, partition)


async def test_an_insert_past_the_fence_is_put_right(
    filled: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfenced = Unfenced(filled, times=2)
    monkeypatch.setattr(rebuilding, "swap", unfenced.swap)
    await rebuild(filled, Fence(redis), Partition(DAYS, "2020"))
    await assert_right(filled, [*STORED, *unfenced.stored])


async def test_inserts_that_never_respect_the_fence_are_told_of(
    filled: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "swap", Unfenced(filled, times=99).swap)
    with pytest.raises(StillDrifting, match=r"views_by_day\[2020\]: "):
        await rebuild(filled, Fence(redis), Partition(DAYS, "2020"))


class Killed(BaseException):
    """Nobody catches it."""


async def test_a_repair_cut_off_is_done_by_the_next(
    filled: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = STORED[0].viewed_at
    await lose(filled, partition_of(DAYS, at), "1")

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as crash:
        crash.setattr(rebuilding, "swap", killed)
        with pytest.raises(Killed):
            await repair(filled, Fence(redis), Versions(redis), VIEWS, TOUCHED, "f")
    assert await drift(filled, VIEWS, await everything(filled, VIEWS))
    await repair(filled, Fence(redis), Versions(redis), VIEWS, TOUCHED, "f")
    await assert_right(filled, STORED)


async def test_two_processes_repair_the_same_partition_one_after_the_other(filled: Engine, redis: Redis) -> None:
    await lose(filled, partition_of(DAYS, STORED[0].viewed_at), "1")

    async def repairing(owner: str) -> int:
        fence = Fence(redis)
        async with fence.flushing(owner):
            return len(await repair(filled, fence, Versions(redis), VIEWS, TOUCHED, owner))

    assert sum(await asyncio.gather(repairing("one"), repairing("other"))) >= 1
    await assert_right(filled, STORED)


async def test_without_redis_nothing_is_rebuilt(filled: Engine) -> None:
    await lose(filled, partition_of(DAYS, STORED[0].viewed_at), "1")
    held = await rollup_in(filled, "day")
    async with Redis.from_url("unix:///nowhere/valkey.sock") as away:
        with pytest.raises(Away):
            await repair(filled, Fence(away), Versions(away), VIEWS, TOUCHED, "f")
    assert await rollup_in(filled, "day") == held
