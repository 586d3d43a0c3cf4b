"""Workers: what is due is done, whoever dies, is told to stop, or forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.errors import RawExpired, Unavailable
from clickhouse.migrate import migrate
from clickhouse.tables import Tables
from service import clock
from tests.conftest import NewDsn
from workers.fence import Fence
from workers.jobs import runner, worker
from workers.jobs.job import ENDED, Job, Kind, Status, Unit, Value
from workers.jobs.ledger import Ledger
from workers.jobs.queue import UnitQueue
from workers.jobs.work import Outcome, Task, Work
from workers.jobs.worker import working
from workers.lease import Taken
from workers.metrics import Metrics
from workers.queue import open_queue
from workers.versions import Versions

Progress = Callable[[int], None]

DEADLINE = 60.0


@dataclass
class Bench:
    """An engine and a Redis, the ledger on them, and tasks that tell when they were begun."""

    engine: Engine
    redis: Redis
    database: str
    begun: list[str] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = UnitQueue(self.redis, self.database)
        self.jobs = Ledger(self.engine, clock.now, self.queue.put)

    def worker(self, parallel: int = 2) -> AbstractAsyncContextManager[None]:
        redis = self.redis
        work = Work(
            *(self.engine, redis, Fence(redis), Versions(redis), Tables(self.engine), Metrics(), clock.now),
        )
        tasks: dict[str, Task] = {"note": self.note, "hold": self.held, "fail": self.failing, "fan out": self.fan_out}
        return working(work, self.jobs, self.queue, parallel, tasks)

    async def note(self, _: Work, arguments: Mapping[str, Value], progress: Progress) -> Outcome:
        self.begun.append(str(arguments["name"]))
        return Outcome()

    async def held(self, work: Work, arguments: Mapping[str, Value], progress: Progress) -> Outcome:
        await self.note(work, arguments, progress)
        progress(40)
        await self.hold.wait()
        return Outcome(rows=50)

    async def failing(self, work: Work, arguments: Mapping[str, Value], progress: Progress) -> Outcome:
        await self.note(work, arguments, progress)
        if self.errors:
            raise self.errors.pop(0)
        return Outcome()

    async def fan_out(self, work: Work, arguments: Mapping[str, Value], progress: Progress) -> Outcome:
        await self.note(work, arguments, progress)
        return Outcome(more=tuple(unit("note", f"more {number}", stage=2) for number in range(3)))

    async def until(self, job: Job, ready: Callable[[Job], bool] = lambda job: job.status in ENDED) -> Job:
        async with asyncio.timeout(DEADLINE):
            while True:
                found = await self.jobs.find(job.id)
                if ready(found):
                    return found
                await asyncio.sleep(0.05)


def unit(task: str, name: str, stage: int = 1) -> Unit:
    return Unit(name, task, "group", stage, {"name": name}, rows=100)


def running(job: Job) -> bool:
    return bool(job.current)


@pytest.fixture
async def bench(new_dsn: NewDsn, redis_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    dsn = Dsn.parse(new_dsn())
    engine = await open_engine(dsn)
    await migrate(engine)
    async with open_queue(redis_url, tmp_path) as redis:
        yield Bench(engine, redis, dsn.database)
    await engine.close()


async def test_units_are_done_stage_by_stage_with_those_they_bring(bench: Bench) -> None:
    async with bench.worker():
        job = await bench.jobs.create(
            Kind.DELETION, {}, [unit("note", "last", stage=3), unit("fan out", "first"), unit("note", "beside")]
        )
        done = await bench.until(job)
    assert done.status is Status.DONE
    assert sorted(bench.begun[:2]) == ["beside", "first"]
    assert sorted(bench.begun[2:5]) == ["more 0", "more 1", "more 2"]
    assert bench.begun[5:] == ["last"]
    assert [one.attempt for one in done.units] == [1] * 6


async def test_no_more_units_run_at_a_time_than_were_asked_for(bench: Bench) -> None:
    async with bench.worker(parallel=2):
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("hold", str(number)) for number in range(4)])
        found = await bench.until(
            job, lambda job: len(job.current) == 2 and sum(one.rows_done for one in job.units) == 80
        )
        assert len(bench.begun) == 2
        assert found.status is Status.RUNNING
        bench.hold.set()
        done = await bench.until(job)
    assert (done.status, len(bench.begun)) == (Status.DONE, 4)
    assert sum(one.rows_done for one in done.units) == 200


async def test_a_unit_that_takes_long_is_begun_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """arq gave a second task to whatever took longer than its patience, and logged a KeyError for the first."""
    monkeypatch.setattr(worker, "LEASE", 3.0)
    async with bench.worker():
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("hold", "held")])
        await bench.until(job, running)
        await asyncio.sleep(5)
        bench.hold.set()
        done = await bench.until(job)
    assert (done.status, done.units[0].attempt) == (Status.DONE, 1)
    assert [one.getMessage() for one in caplog.records if one.name.startswith("arq")] == []


async def test_a_unit_that_is_cancelled_ends_where_it_stands(bench: Bench) -> None:
    async with bench.worker():
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("hold", "held"), unit("note", "after", stage=2)])
        await bench.until(job, running)
        await bench.jobs.cancel(job.id)
        found = await bench.until(job, lambda job: job.units[0].status is Status.QUEUED)
        assert found.status is Status.CANCELLED
        same = await bench.jobs.create(Kind.BACKFILL, {}, [unit("note", "again")])
        assert (await bench.until(same)).status is Status.DONE
    assert bench.begun == ["held", "again"]


async def test_a_worker_told_to_stop_gives_its_units_back(bench: Bench) -> None:
    async with bench.worker():
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("hold", "held")])
        await bench.until(job, running)
    found = await bench.jobs.find(job.id)
    assert (found.status, found.units[0].failures) == (Status.QUEUED, 0)
    bench.hold.set()
    async with bench.worker():
        done = await bench.until(job)
    assert (done.status, done.units[0].attempt) == (Status.DONE, 2)


async def test_two_workers_do_each_unit_once(bench: Bench) -> None:
    units = [unit("note", str(number)) for number in range(12)]
    async with bench.worker(), bench.worker():
        assert (await bench.until(await bench.jobs.create(Kind.BACKFILL, {}, units))).status is Status.DONE
    assert sorted(bench.begun) == sorted(one.name for one in units)


async def test_errors_that_pass_are_tried_again_and_others_fail_the_job_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_PAUSE", 0.01)
    monkeypatch.setattr(worker, "LOOK", 0.1)
    monkeypatch.setattr(worker, "SWEEP", 0.1)
    bench.errors = [Unavailable("gone"), Taken("others are at it"), RawExpired("2020-01-01 has expired\nand more")]
    async with bench.worker():
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("fail", "failing"), unit("note", "beside")])
        found = await bench.until(job)
        assert (found.status, found.error) == (Status.FAILED, "failing: 2020-01-01 has expired")
        assert {one.unit.name: one.status for one in found.units} == {"failing": "failed", "beside": "done"}
        assert (found.units[0].attempt, found.units[0].failures) == (3, 1)
        bench.errors = [Unavailable("gone")] * 100
        hopeless = await bench.until(await bench.jobs.create(Kind.BACKFILL, {}, [unit("fail", "failing")]))
        assert (hopeless.status, hopeless.error) == (Status.FAILED, "failing: gone")
        assert len(bench.errors) == 100 - 1 - runner.MOST_FAILURES
        unknown = await bench.until(await bench.jobs.create(Kind.BACKFILL, {}, [unit("no such task", "x")]))
        assert unknown.status is Status.FAILED


@pytest.mark.parametrize("ended", ["Worker.main", "_look"])
async def test_a_loop_that_ends_by_a_cancellation_nobody_asked_for_goes_on(bench: Bench, ended: str) -> None:
    """Both wait for threads and for Redis, and a future of theirs that is cancelled ends them the same way."""

    async def waited_for() -> asyncio.Future[None]:
        """What the loop waits for, found as a debugger would."""
        while True:
            for task in asyncio.all_tasks():
                coroutine = task.get_coro()
                if getattr(coroutine, "__qualname__", "") == ended:
                    waiter = getattr(task, "_fut_waiter", None)
                    if isinstance(waiter, asyncio.Future) and not isinstance(waiter, asyncio.Task):
                        return waiter
            await asyncio.sleep(0)

    async with bench.worker():
        (await waited_for()).cancel()
        bench.errors.append(Unavailable("ClickHouse is away"))  # so the sweep has to find it again
        job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("fail", "tried again")])
        done = await bench.until(job)
    assert (done.status, done.units[0].attempt) == (Status.DONE, 2)


async def test_a_redis_that_was_emptied_hides_no_unit(bench: Bench) -> None:
    job = await bench.jobs.create(Kind.BACKFILL, {}, [unit("note", "a"), unit("note", "b")])
    await bench.redis.delete(bench.queue.name)
    for key in [key async for key in bench.redis.scan_iter(f"arq:*{bench.queue.name}*")]:
        await bench.redis.delete(key)
    async with bench.worker():
        assert (await bench.until(job)).status is Status.DONE
