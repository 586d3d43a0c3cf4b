"""The worker: arq in the running loop, kept alive, and the sweep that brings back what it and Redis forget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from arq.constants import in_progress_key_prefix
from arq.cron import CronJob, cron
from arq.worker import Worker, func
from redis.exceptions import RedisError

from clickhouse.errors import ClickHouseError
from workers.jobs.ledger import Ledger
from workers.jobs.queue import RUN, UnitQueue, pack
from workers.jobs.runner import Runner
from workers.jobs.tasks import TASKS
from workers.jobs.work import Task, Work
from workers.lease import LEASE

logger = logging.getLogger(__name__)

# Seconds between two looks at what runs here: whether it was cancelled, how far it is.
LOOK = 1.0

# Seconds between two sweeps. New units are put into the queue by who makes them; this finds those of dead workers,
# whose lease lasts ten, and what Redis lost.
SWEEP = 5.0

# Seconds between two tries of arq, which ends with the first Redis error.
_PAUSE = 1.0

# Seconds between two calls to end.
_AGAIN = 0.1

# Of each minute, when schedules are looked at.
SECONDS = {0}

_SILENCE = 60.0  # seconds between two lines of log

# Longer than any unit; arq's own limit would end it as failed.
_NEVER = 30 * 86_400


@asynccontextmanager
async def working(
    work: Work,
    ledger: Ledger,
    queue: UnitQueue,
    parallel: int,
    tasks: Mapping[str, Task] = TASKS,
    tick: Callable[[], Awaitable[object]] | None = None,
) -> AsyncIterator[None]:
    """Units are done while the body runs, `parallel` at a time; at the end those that run are given back. `tick` is
    called every minute, by one of all workers."""
    runner = Runner(work, ledger, queue, tasks, parallel)
    arq = asyncio.create_task(_arq(runner, queue, parallel, tick))
    look = asyncio.create_task(_look(runner, ledger, queue))
    try:
        yield
    finally:
        await runner.stop()
        arq.cancel()
        while not look.done():
            # More than once, as below: with one call alone, 2 of 6 services that were stopped at once never ended.
            look.cancel()
            await asyncio.wait([look], timeout=_AGAIN)
        for loop in (arq, look):
            with suppress(asyncio.CancelledError):
                await loop


async def _arq(runner: Runner, queue: UnitQueue, parallel: int, tick: Callable[[], Awaitable[object]] | None) -> None:
    """A new worker whenever the last one died."""

    async def run(ctx: dict[Any, Any], *named: Any, **_: Any) -> None:
        async with _in_progress(queue, ctx["job_id"]):
            await runner.run(*named)

    silent_until = 0.0
    while True:
        worker = Worker(
            [func(run, name=RUN, keep_result=0, timeout=_NEVER)],
            queue_name=queue.name,
            cron_jobs=_every_minute(queue, tick) if tick is not None else None,
            redis_pool=queue.arq,
            handle_signals=False,
            max_jobs=parallel,
            health_check_interval=15,
            job_serializer=pack,
            job_deserializer=queue.arq.job_deserializer,
        )
        # So long arq lets nobody else have what a dead worker took; by itself it would be the timeout.
        worker.in_progress_timeout_s = LEASE
        main = asyncio.create_task(worker.main())
        try:
            await asyncio.wait([main])
        except asyncio.CancelledError:
            while not main.done():
                # More than once: one that comes in the middle of an exchange with Redis may be lost (seen).
                main.cancel()
                await asyncio.wait([main], timeout=_AGAIN)
            if worker.tasks:  # the units were given back, and arq notes that they ended
                await asyncio.wait(worker.tasks.values())
            raise
        finally:
            for task in (main, *worker.tasks.values()):
                task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        error = asyncio.CancelledError("by nobody") if main.cancelled() else main.exception()
        if not isinstance(error, (RedisError, OSError)):
            logger.error("arq ended, and is started again", exc_info=error)
        elif time.monotonic() >= silent_until:
            silent_until = time.monotonic() + _SILENCE
            logger.warning("no unit is begun until Redis is back: %s", str(error) or type(error).__name__)
        await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def _in_progress(queue: UnitQueue, id_: str) -> AsyncIterator[None]:
    """Meanwhile arq begins no second task of the id, of which it would take the first one's end for an error."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            with suppress(RedisError, OSError):
                await queue.arq.pexpire(in_progress_key_prefix + id_, int(LEASE * 1000))

    renewal = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewal.cancel()


def _every_minute(queue: UnitQueue, tick: Callable[[], Awaitable[object]]) -> list[CronJob]:
    async def schedules(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
        await tick()

    # arq keeps the jobs of all queues under one prefix: the name has to hold the database's.
    return [cron(schedules, name=f"{queue.name}:schedules", second=SECONDS)]


async def _look(runner: Runner, ledger: Ledger, queue: UnitQueue) -> None:
    """Ends units of cancelled jobs, reports progress, and sweeps."""
    swept = -SWEEP
    down = False
    while True:
        try:
            await _look_once(runner, ledger)
            if time.monotonic() - swept >= SWEEP:
                await queue.put(await ledger.due())
                swept = time.monotonic()
            down = False
        except ClickHouseError as error:
            if not down:
                logger.warning("jobs are not looked after, ClickHouse is away: %s", error)
            down = True
        except asyncio.CancelledError:
            if _told_to_end():
                raise
            logger.exception("looking after jobs was cut off by nobody, and goes on")
        except Exception:
            logger.exception("looking after jobs failed")
        await asyncio.sleep(LOOK)


def _told_to_end() -> bool:
    """Whether the running task was cancelled itself, and not a future that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _look_once(runner: Runner, ledger: Ledger) -> None:
    running = list(runner.running)
    cancelled = await ledger.cancelled({one.job for one in running})
    for one in running:
        if one.job in cancelled:
            if one.doing is not None:
                one.doing.cancel()
        elif one.rows != one.reported:
            one.reported = one.rows
            await ledger.report(one.job, one.state, one.rows)
