"""What is due is begun once, what was missed with it, and what failed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.errors import Refused
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.migrate import migrate
from clickhouse.partitions import partition_of
from clickhouse.rollups import GRAINS
from clickhouse.tables import Tables
from tests.conftest import NewDsn
from tests.damage import add, events, store
from tests.oracle_rollups import rollup_in, rollup_of
from workers import lease as leases
from workers.fence import Fence
from workers.jobs import worker
from workers.jobs.job import ENDED, Job, Kind, Status, Value
from workers.jobs.ledger import Ledger
from workers.jobs.queue import UnitQueue
from workers.jobs.tasks import TASKS
from workers.jobs.work import Outcome, Work
from workers.jobs.worker import working
from workers.metrics import Metrics
from workers.scheduling import NoSuchSchedule, Schedules, plans
from workers.versions import Versions

DEADLINE = 60.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


@dataclass
class Clockwork:
    """Schedules, a ledger and a worker on a clock that the test sets."""

    engine: Engine
    redis: Redis
    database: str
    time: datetime = datetime(2025, 3, 10, 14, 0, tzinfo=UTC)
    faults: list[Exception] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go_on.set()
        self.queue = UnitQueue(self.redis, self.database)
        self.ledger = Ledger(self.engine, self.now, self.queue.put)
        self.schedules = self.another()

    def now(self) -> datetime:
        return self.time

    def work(self) -> Work:
        fence, versions = Fence(self.redis), Versions(self.redis)
        return Work(self.engine, self.redis, fence, versions, Tables(self.engine), Metrics(), self.now)

    def another(self) -> Schedules:
        """Those of another process."""
        return Schedules(self.engine, self.redis, self.database, self.ledger, self.now, plans(None))

    async def reconcile(self, work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
        await self.go_on.wait()
        if self.faults:
            raise self.faults.pop()
        return await TASKS["reconcile"](work, arguments, progress)

    async def tick(self, later: timedelta = timedelta()) -> list[Job]:
        """What is begun so much later, done."""
        self.time += later
        return [await self.ended(job) for job in await self.schedules.tick()]

    async def ended(self, job: Job) -> Job:
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await self.ledger.find(job.id)
                if found.status in ENDED:
                    return found
                await asyncio.sleep(0.05)

    async def states(self) -> dict[str, tuple[str | None, str]]:
        """Outcome and next run, by name."""
        return {
            one.schedule.name: (
                str(one.job.status) if one.job else None,
                rfc3339(from_epoch_ms(one.following)),
            )
            for one in await self.schedules.states()
        }


@pytest.fixture
async def clockwork(new_dsn: NewDsn, redis_url: str) -> AsyncIterator[Clockwork]:
    dsn = Dsn.parse(new_dsn())
    engine = await open_engine(dsn)
    await migrate(engine)
    async with Redis.from_url(redis_url) as redis:
        found = Clockwork(engine, redis, dsn.database)
        async with working(found.work(), found.ledger, found.queue, 2, {**TASKS, "reconcile": found.reconcile}):
            yield found
    await engine.close()


def spans(jobs: list[Job]) -> list[tuple[Value, Value]]:
    return [(job.parameters["start"], job.parameters["end"]) for job in jobs]


async def test_a_new_database_has_nothing_to_catch_up(clockwork: Clockwork) -> None:
    assert await clockwork.tick() == []
    assert await clockwork.tick(timedelta(minutes=4)) == []
    assert (await clockwork.ledger.page(None, 10, 0))[0] == 0
    assert (await clockwork.states())["monthly"] == (None, "2025-04-01T00:35:00Z")
    assert (await clockwork.states())["hourly"] == (None, "2025-03-10T14:05:00Z")


async def test_the_hour_that_closed_is_compared_and_repaired(clockwork: Clockwork) -> None:
    hour = datetime(2025, 3, 10, 13, tzinfo=UTC)
    stored = [
        one._replace(viewed_at=int(hour.timestamp() * 1000) + number * 60_000) for number, one in enumerate(events(50))
    ]
    await store(clockwork.engine, stored)
    await clockwork.tick()
    for grain in GRAINS:
        partition = partition_of(grain, stored[0].viewed_at)
        await add(clockwork.engine, partition, f"SELECT * FROM {grain.table} WHERE _partition_id = '{partition.id}'")
    done = await clockwork.tick(timedelta(minutes=5))
    assert spans(done) == [("2025-03-10T13:00:00Z", "2025-03-10T14:00:00Z")]
    assert [(job.kind, job.status) for job in done] == [(Kind.RECONCILE, Status.DONE)]
    for grain in GRAINS:
        assert await rollup_in(clockwork.engine, grain.name) == rollup_of(grain.name, stored)
    assert (await clockwork.states())["hourly"] == ("done", "2025-03-10T15:05:00Z")


async def test_a_run_happens_once_however_many_workers_there_are(clockwork: Clockwork) -> None:
    await store(clockwork.engine, events(5))
    await clockwork.tick()
    clockwork.time += timedelta(minutes=5)
    ticks = [clockwork.another().tick() for _ in range(4)]
    begun = [job for jobs in await asyncio.gather(*ticks) for job in jobs]
    for _ in range(2):
        begun += await clockwork.another().tick()
    assert len(begun) == 1
    assert (await clockwork.ledger.page(None, 10, 0))[0] == 1
    assert (await clockwork.ended(begun[0])).status is Status.DONE


async def test_a_service_that_was_down_for_three_days_catches_up(clockwork: Clockwork) -> None:
    await clockwork.tick()
    await clockwork.tick(timedelta(minutes=5))
    # From Monday to Thursday; neither a Sunday nor a first lies between.
    caught_up = await clockwork.tick(timedelta(days=3))
    assert [job.kind for job in caught_up] == [Kind.RECONCILE, Kind.RECONCILE, Kind.RETENTION]
    assert spans(caught_up[:2]) == [
        ("2025-03-10T14:00:00Z", "2025-03-13T14:00:00Z"),
        ("2025-03-10T00:00:00Z", "2025-03-13T00:00:00Z"),
    ]
    assert await clockwork.tick(timedelta(minutes=1)) == []


async def test_a_run_that_failed_is_begun_again(clockwork: Clockwork) -> None:
    await store(clockwork.engine, events(5, days=["2025-03-10"]))
    await clockwork.tick()
    clockwork.faults = [Refused("broken")] * 9
    failed = await clockwork.tick(timedelta(minutes=5))
    assert [job.status for job in failed] == [Status.FAILED]
    assert await clockwork.tick(timedelta(minutes=14)) == []
    again = await clockwork.tick(timedelta(minutes=1))
    assert spans(again) == spans(failed)
    # An hour later it is still to be done, with the hour since.
    clockwork.faults = []
    later = await clockwork.tick(timedelta(minutes=45))
    assert spans(later) == [("2025-03-10T13:00:00Z", "2025-03-10T15:00:00Z")]
    assert [job.status for job in later] == [Status.DONE]
    assert await clockwork.tick(timedelta(minutes=20)) == []


async def test_a_run_that_was_cancelled_waits_for_the_next_time(clockwork: Clockwork) -> None:
    await store(clockwork.engine, events(5, days=["2025-03-10"]))
    await clockwork.tick()
    clockwork.time += timedelta(minutes=5)
    clockwork.go_on.clear()
    (begun,) = await clockwork.another().tick()
    assert await clockwork.another().tick() == []
    assert (await clockwork.schedules.run("hourly")).id == begun.id
    await clockwork.ledger.cancel(begun.id)
    clockwork.go_on.set()
    assert await clockwork.tick(timedelta(minutes=50)) == []
    assert spans(await clockwork.tick(timedelta(minutes=10))) == [("2025-03-10T13:00:00Z", "2025-03-10T15:00:00Z")]


async def test_a_run_by_hand_is_about_the_last_closed_period(clockwork: Clockwork) -> None:
    await clockwork.tick()
    by_hand = await clockwork.ended(await clockwork.schedules.run("monthly"))
    assert spans([by_hand]) == [("2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z")]
    assert (await clockwork.states())["monthly"] == ("done", "2025-04-01T00:35:00Z")
    # What is due by then is done once.
    clockwork.time = datetime(2025, 4, 1, 0, 35, tzinfo=UTC)
    by_hand = await clockwork.ended(await clockwork.schedules.run("monthly"))
    assert spans([by_hand]) == [("2025-03-01T00:00:00Z", "2025-04-01T00:00:00Z")]
    assert by_hand.id not in [job.id for job in await clockwork.tick()]
    assert (await clockwork.schedules.run("retention")).kind is Kind.RETENTION
    compacted = await clockwork.ended(await clockwork.schedules.run("compaction"))
    assert (compacted.kind, compacted.status) == (Kind.COMPACTION, Status.DONE)
    with pytest.raises(NoSuchSchedule, match="no schedule fortnightly, but hourly, daily, weekly, monthly, yearly"):
        await clockwork.schedules.run("fortnightly")


async def test_without_redis_nothing_is_begun_and_nothing_breaks(clockwork: Clockwork) -> None:
    await clockwork.tick()
    clockwork.time += timedelta(days=1)
    async with Redis.from_url("unix:///nowhere/valkey.sock") as away:
        gone = Schedules(clockwork.engine, away, clockwork.database, clockwork.ledger, clockwork.now, plans(None))
        assert await gone.tick() == []
    assert len(await clockwork.tick()) == 3


async def test_of_all_workers_one_looks_at_the_schedules_each_time(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SECONDS", set(range(60)))
    ticks: list[int] = []
    enough = asyncio.Event()

    async def tick() -> None:
        ticks.append(int(time.time()))
        if len(ticks) == 6:
            enough.set()

    work = clockwork.work()
    workers = [working(work, clockwork.ledger, clockwork.queue, 2, TASKS, tick) for _ in range(2)]
    async with workers[0], workers[1], asyncio.timeout(DEADLINE):
        await enough.wait()
    assert ticks[5] - ticks[0] >= 4  # of two that both look it would be 2 or 3
