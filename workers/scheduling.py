"""Begins the jobs of schedules: each once, whatever was missed with it, however many workers there are."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.instants import epoch_ms
from clickhouse.schedule_runs import Run, last_runs, put_run
from clickhouse.spans import Span
from workers.jobs import reconciling
from workers.jobs.job import Job, Kind, Status, Unit, Value
from workers.jobs.ledger import Ledger, NoSuchJob
from workers.jobs.retaining import compaction_units, retention_units
from workers.lease import LeaseError, Taken, lease
from workers.schedule import SCHEDULES, Schedule

logger = logging.getLogger(__name__)

# Of a kind of job: what it is asked for with, and its units, when it is about a period.
Plan = Callable[[Engine, Span], Awaitable[tuple[dict[str, Value], list[Unit]]]]


def plans(retention_days: int | None) -> dict[Kind, Plan]:
    """`retention_days`: the setting RAW_RETENTION_DAYS."""

    async def reconcile(engine: Engine, span: Span) -> tuple[dict[str, Value], list[Unit]]:
        return reconciling.parameters(span, repair=True), await reconciling.units(engine, span, repair=True)

    async def retention(_: Engine, __: Span) -> tuple[dict[str, Value], list[Unit]]:
        return {"days": retention_days or 0}, retention_units(retention_days)

    async def compaction(_: Engine, __: Span) -> tuple[dict[str, Value], list[Unit]]:
        return {}, compaction_units()

    return {Kind.RECONCILE: reconcile, Kind.RETENTION: retention, Kind.COMPACTION: compaction}


# Milliseconds until a run that failed is begun again.
AGAIN = 15 * 60_000

# Seconds that who asks for a run waits for others who begin theirs.
_WAIT = 10.0


class NoSuchSchedule(Exception):
    """There is none of this name; the message names those there are."""


@dataclass(frozen=True)
class State:
    """How a schedule stands. `run` is None, and with it `job`, as long as it never ran; times are epoch ms."""

    schedule: Schedule
    run: Run | None
    job: Job | None
    following: int
    period: Span
    """What the next run is about, if nothing is missed."""


class Schedules:
    """One for a process; the runs stand in ClickHouse, and who begins one holds a lease."""

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        database: str,
        ledger: Ledger,
        now: Callable[[], datetime],
        plans: Mapping[Kind, Plan],
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._lease = f"readership:schedules:{database}"
        self._ledger = ledger
        self._now = now
        self._plans = plans

    async def tick(self) -> list[Job]:
        """Begins what is due. Raises nothing: the next tick finds what this one could not."""
        begun = []
        try:
            async with lease(self._redis, self._lease, wait=0):
                last = await last_runs(self._engine)
                for schedule in SCHEDULES.values():
                    job = await self._begin_if_due(schedule, last.get(schedule.name))
                    if job is not None:
                        begun.append(job)
        except Taken:
            pass
        except (LeaseError, ClickHouseError) as error:
            logger.warning("schedules wait: %s", error)
        return begun

    async def run(self, name: str) -> Job:
        """The last closed period now, with what was missed before it; or the run that goes on already.

        Raises NoSuchSchedule, LeaseError, ClickHouseError.
        """
        schedule = self.find(name)
        async with lease(self._redis, self._lease, _WAIT):
            last = (await last_runs(self._engine)).get(name)
            job = await self._job(last)
            if last is not None and job is not None and _goes_on(job):
                return job
            now = self._ms()
            missed = None if last is None else schedule.missed(_done_until(last, job), now)
            return await self._begin(schedule, missed or schedule.period(now), now)

    async def states(self) -> list[State]:
        """Raises ClickHouseError."""
        last, now = await last_runs(self._engine), self._ms()
        found = []
        for schedule in SCHEDULES.values():
            run = last.get(schedule.name)
            ran = run if run is not None and run.job else None
            following = schedule.following(now)
            found.append(State(schedule, ran, await self._job(ran), following, schedule.period(following)))
        return found

    def find(self, name: str) -> Schedule:
        """Raises NoSuchSchedule."""
        if name not in SCHEDULES:
            raise NoSuchSchedule(f"there is no schedule {name}, but {', '.join(SCHEDULES)}")
        return SCHEDULES[name]

    async def _begin_if_due(self, schedule: Schedule, last: Run | None) -> Job | None:
        now = self._ms()
        if last is None:
            end = schedule.period(now).end
            await put_run(self._engine, Run(schedule.name, now, "", end, end))
            return None
        job = await self._job(last)
        if job is not None and _goes_on(job):
            return None
        missed = schedule.missed(_done_until(last, job), now)
        if missed is None or not (schedule.due(now) > last.at or _tried_again(last, job, now)):
            return None
        return await self._begin(schedule, missed, now)

    async def _begin(self, schedule: Schedule, span: Span, now: int) -> Job:
        parameters, units = await self._plans[schedule.kind](self._engine, span)
        job = await self._ledger.create(schedule.kind, parameters, units)
        await put_run(self._engine, Run(schedule.name, now, job.id, *span))
        logger.info("%s begins as %s", schedule.name, job.id)
        return job

    async def _job(self, run: Run | None) -> Job | None:
        if run is None or not run.job:
            return None
        try:
            return await self._ledger.find(run.job)
        except NoSuchJob:
            return None

    def _ms(self) -> int:
        return epoch_ms(self._now())


def _goes_on(job: Job) -> bool:
    return job.status in (Status.QUEUED, Status.RUNNING)


def _done_until(run: Run, job: Job | None) -> int:
    """A run begins where the last that was done left off."""
    return run.end if job is None or job.status is Status.DONE else run.start


def _tried_again(run: Run, job: Job | None, now: int) -> bool:
    """What was cancelled waits for the next time it is due."""
    return job is not None and job.status is Status.FAILED and now >= run.at + AGAIN
