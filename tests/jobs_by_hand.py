"""A job's units done one after the other by the test, which may drop what one gives back, as a crash would."""

from __future__ import annotations

from datetime import UTC, datetime

from redis.asyncio import Redis

from clickhouse.engine import Engine
from clickhouse.tables import Tables
from workers.fence import Fence
from workers.jobs.job import Job, Status, Unit
from workers.jobs.ledger import Ledger
from workers.jobs.tasks import TASKS
from workers.jobs.work import Outcome, Work
from workers.metrics import Metrics
from workers.versions import Versions


class Hands:
    def __init__(self, engine: Engine, redis: Redis) -> None:
        self.ledger = Ledger(engine, _now)
        self._work = Work(engine, redis, Fence(redis), Versions(redis), Tables(engine), Metrics(), _now)

    async def run(self, unit: Unit) -> Outcome:
        return await TASKS[unit.task](self._work, unit.arguments, lambda rows: None)

    async def finish(self, job: Job, *, crashing: bool = False) -> Job:
        """Does all of it; `crashing`: what each unit gave back is lost once, after it had done its work."""
        while (job := await self.ledger.find(job.id)).status not in (Status.DONE, Status.FAILED):
            state = await self.ledger.begin(job, job.due(2**62)[0].unit.name)
            assert state is not None
            if crashing:
                await self.run(state.unit)
            await self.ledger.finish(job.id, state, await self.run(state.unit))
        assert job.status is Status.DONE
        return job


def _now() -> datetime:
    return datetime.now(UTC)
