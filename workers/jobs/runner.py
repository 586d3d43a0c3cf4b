"""Does one unit: under its lease, from what the ledger says to what the ledger is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from clickhouse.errors import ClickHouseError, Unavailable
from workers.jobs.job import UnitState
from workers.jobs.ledger import Due, Ledger, NoSuchJob
from workers.jobs.queue import UnitQueue
from workers.jobs.work import Outcome, Task, Work
from workers.lease import LeaseError, Taken, lease

logger = logging.getLogger(__name__)

# How often a unit may end by an error that passes, or with its worker, before its job has failed.
MOST_FAILURES = 5

# Seconds before another try; doubled each time up to the longest.
_PAUSE, _LONGEST = 2.0, 60.0


@dataclass
class Running:
    """A unit in the making. `rows` is what its task told last, `reported` what the ledger knows of that."""

    job: str
    state: UnitState
    doing: asyncio.Task[Outcome] | None = None
    rows: int = 0
    reported: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def progress(self, rows: int) -> None:
        self.rows = rows


class Runner:
    """One for a process."""

    def __init__(self, work: Work, ledger: Ledger, queue: UnitQueue, tasks: Mapping[str, Task], parallel: int) -> None:
        self.running: list[Running] = []
        self._work = work
        self._ledger = ledger
        self._queue = queue
        self._tasks = tasks
        # arq keeps to its own number; one that died of a Redis error leaves units behind that still run.
        self._room = asyncio.Semaphore(parallel)
        self._stopping = False

    async def run(self, job: str, name: str) -> None:
        """Does the unit unless somebody does, or it is not due; then what follows is put into the queue.

        Raises nothing: what could not be told to the ledger is found by the sweep.
        """
        try:
            async with self._room, lease(self._work.redis, self._queue.lease_of(job, name), wait=0):
                await self._run(job, name)
            if not self._stopping:
                found = await self._ledger.find(job)
                await self._queue.put([Due(job, state) for state in found.due(self._ledger.now_ms())])
        except (Taken, NoSuchJob):
            pass
        except (LeaseError, ClickHouseError) as error:
            logger.warning("%s of %s was not ended and is begun again: %s", name, job, error)

    async def stop(self) -> None:
        """Gives back what runs, and begins nothing more."""
        self._stopping = True
        for one in self.running:
            if one.doing is not None:
                one.doing.cancel()
        await asyncio.gather(*(one.ended.wait() for one in self.running))

    async def _run(self, job: str, name: str) -> None:
        found = await self._ledger.find(job)
        state = None if self._stopping else await self._ledger.begin(found, name)
        if state is None:
            return
        if state.failures > MOST_FAILURES:
            await self._ledger.fail(job, state, f"given up after {MOST_FAILURES} tries: {state.error}")
            return
        one = Running(job, state)
        self.running.append(one)
        try:
            await self._settle(one, await self._ended(one))
        finally:
            self.running.remove(one)
            one.ended.set()

    async def _ended(self, one: Running) -> asyncio.Task[Outcome]:
        """The unit's task when it has ended; it ends with us when the lease is lost."""
        logger.info("%s of %s begins", one.state.unit.name, one.job)
        doing = asyncio.create_task(self._outcome(one))
        one.doing = doing
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError:
            doing.cancel()
            await asyncio.wait([doing])
            raise
        return doing

    async def _outcome(self, one: Running) -> Outcome:
        unit = one.state.unit
        return await self._tasks[unit.task](self._work, unit.arguments, one.progress)

    async def _settle(self, one: Running, doing: asyncio.Task[Outcome]) -> None:
        job, state, name = one.job, one.state, one.state.unit.name
        if doing.cancelled():
            logger.info("%s of %s was cut off", name, job)
            await self._ledger.again(job, state)
            return
        error = doing.exception()
        if error is None:
            logger.info("%s of %s is done", name, job)
            await self._ledger.finish(job, state, doing.result())
        elif isinstance(error, LeaseError):
            # Others are at it, or Redis is away: no fault of the unit's.
            logger.warning("%s of %s waits: %s", name, job, error)
            await self._ledger.again(job, state, error=_line(error), seconds=_PAUSE)
        elif isinstance(error, Unavailable) and state.failures < MOST_FAILURES:
            logger.warning("%s of %s is tried again: %s", name, job, error)
            pause = min(_PAUSE * 2**state.failures, _LONGEST)
            await self._ledger.again(job, state, error=_line(error), seconds=pause, failed=True)
        else:
            expected = isinstance(error, ClickHouseError)
            logger.error("%s of %s failed: %s", name, job, error, exc_info=None if expected else error)
            await self._ledger.fail(job, state, _line(error))


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
