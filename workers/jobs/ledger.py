"""Where jobs stand: two tables in ClickHouse, since the queue forgets, and Redis may be emptied.

A unit's row is written by who holds its lease; a job's row by its request, and once more by the one that cancels it.
Both may be written twice: ids follow from what is asked for, and versions say which row counts.

JobError
├── NoSuchJob
└── JobEnded    it cannot be cancelled any more
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b

from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms
from clickhouse.jobs import (
    JobRow,
    UnitRow,
    cancelled_jobs,
    find_job,
    find_units,
    last_job,
    list_jobs,
    open_jobs,
    put_job,
    put_units,
)
from workers.jobs.job import ENDED, Job, Kind, Status, Unit, UnitState, Value
from workers.jobs.work import Outcome


class JobError(Exception):
    """Base of what the ledger raises itself."""


class NoSuchJob(JobError):
    """No job has this id."""


class JobEnded(JobError):
    """It is done, failed or cancelled."""


@dataclass(frozen=True)
class Due:
    """A unit to be begun, or one that says it runs."""

    job: str
    state: UnitState


class Ledger:
    """Every method raises ClickHouseError."""

    def __init__(
        self,
        engine: Engine,
        now: Callable[[], datetime],
        enqueue: Callable[[list[Due]], Awaitable[None]] | None = None,
    ) -> None:
        """`enqueue` takes what is due in new jobs; a worker's sweep finds it too, some seconds later."""
        self._engine = engine
        self._now = now
        self._enqueue = enqueue

    async def create(self, kind: Kind, parameters: Mapping[str, Value], units: Sequence[Unit]) -> Job:
        """A new job; or the one that does the same already (kind and parameters) and has not ended.

        Two requests at once make the same rows: the id is that of the last such job, counted on.
        """
        prefix, last = await self._last(kind, parameters)
        if last is not None and last.status not in ENDED:
            return last
        number = int(last.id.removeprefix(prefix)) + 1 if last else 1
        job = Job(f"{prefix}{number}", kind, parameters, self.now_ms(), units=_states(units, 0))
        if job.units:
            await put_units(self._engine, [_unit_row(job.id, state) for state in job.units])
        await put_job(self._engine, _job_row(job))
        made = await self.find(job.id)
        if self._enqueue is not None:
            await self._enqueue([Due(made.id, state) for state in made.due(self.now_ms())])
        return made

    async def unfinished(self, kind: Kind, parameters: Mapping[str, Value]) -> Job | None:
        """The job that a request for this would join."""
        _, last = await self._last(kind, parameters)
        return None if last is None or last.status in ENDED else last

    async def find(self, id_: str) -> Job:
        """Raises NoSuchJob."""
        row = await find_job(self._engine, id_)
        if row is None:
            raise NoSuchJob(f"there is no job {id_}")
        return (await self._whole([row]))[0]

    async def page(self, kind: Kind | None, limit: int, offset: int) -> tuple[int, list[Job]]:
        """How many jobs there are, of a kind or in all, and some of them, newest first."""
        total, rows = await list_jobs(self._engine, kind or "", limit, offset)
        return total, await self._whole(rows)

    async def unended(self) -> list[Job]:
        """Jobs of which something may have to be done still, oldest first."""
        return await self._whole(await open_jobs(self._engine))

    async def due(self) -> list[Due]:
        """What may be begun now, and what says that it runs; oldest jobs first."""
        now = self.now_ms()
        return [Due(job.id, state) for job in await self.unended() for state in job.due(now)]

    async def cancel(self, id_: str) -> Job:
        """Nothing more of it is begun; what runs is told by the worker's next look. Raises NoSuchJob, JobEnded."""
        job = await self.find(id_)
        if job.status in ENDED:
            raise JobEnded(f"{id_} is {job.status} already")
        await put_job(self._engine, _job_row(replace(job, cancelled_at=self.now_ms())))
        return await self.find(id_)

    async def cancelled(self, ids: Collection[str]) -> set[str]:
        """Those of them that were."""
        return await cancelled_jobs(self._engine, ids) if ids else set()

    # The rest is for who holds the unit's lease. A version holds the attempt: what a holder that lost its lease sends
    # late counts for nothing once the next has begun.

    async def begin(self, job: Job, name: str) -> UnitState | None:
        """The unit of the job as it was just found, now running; None: it is not due any more."""
        now = self.now_ms()
        found = [one for one in job.due(now) if one.unit.name == name]
        if not found:
            return None
        state = found[0]
        died = state.status is Status.RUNNING
        begun = replace(
            state,
            status=Status.RUNNING,
            attempt=state.attempt + 1,
            failures=state.failures + died,
            error="its worker died" if died else state.error,
            started_at=state.started_at or now,
            rows_done=0,
        )
        await self._write(job.id, begun)
        return begun

    async def report(self, job: str, state: UnitState, rows: int) -> None:
        """How many events a running unit has read."""
        await self._write(job, replace(state, rows_done=rows))

    async def finish(self, job: str, state: UnitState, outcome: Outcome) -> None:
        """Done, and in the same moment the units are there that follow from it."""
        known = await find_units(self._engine, [job])
        names = {row.name for row in known}
        added = _states([unit for unit in outcome.more if unit.name not in names], len(known))
        rows = state.unit.rows if outcome.rows is None else outcome.rows
        done = replace(
            state, status=Status.DONE, finished_at=self.now_ms(), rows_done=rows, error="", note=outcome.note
        )
        await self._write(job, done, *added)

    async def fail(self, job: str, state: UnitState, error: str) -> None:
        """For good; `error` is one line."""
        await self._write(job, replace(state, status=Status.FAILED, finished_at=self.now_ms(), error=error))

    async def again(
        self, job: str, state: UnitState, *, error: str = "", seconds: float = 0, failed: bool = False
    ) -> None:
        """Queued once more, to be begun after so long; `failed` counts against it."""
        queued = replace(
            state,
            status=Status.QUEUED,
            failures=state.failures + failed,
            error=error,
            due_at=self.now_ms() + int(seconds * 1000),
            rows_done=0,
        )
        await self._write(job, queued)

    async def _write(self, job: str, *states: UnitState) -> None:
        await put_units(self._engine, [_unit_row(job, state) for state in states])

    async def _last(self, kind: Kind, parameters: Mapping[str, Value]) -> tuple[str, Job | None]:
        """What the ids of such jobs begin with, and the last of them."""
        digest = blake2b(_json(parameters).encode(), digest_size=6).hexdigest()
        prefix = f"{kind}-{digest}-"
        row = await last_job(self._engine, prefix)
        return prefix, (await self._whole([row]))[0] if row else None

    async def _whole(self, rows: Sequence[JobRow]) -> list[Job]:
        units: dict[str, list[UnitState]] = {row.id: [] for row in rows}
        if units:
            for unit in await find_units(self._engine, units):
                units[unit.job].append(_state(unit))
        return [_job(row, tuple(units[row.id])) for row in rows]

    def now_ms(self) -> int:
        return epoch_ms(self._now())


def _states(units: Sequence[Unit], first: int) -> tuple[UnitState, ...]:
    return tuple(UnitState(unit, position) for position, unit in enumerate(units, first))


# What a unit may become within one attempt, in this order; a report has the version of what it reports on.
_STEPS = {Status.RUNNING: 0, Status.QUEUED: 1, Status.FAILED: 2, Status.DONE: 3}


def _version(state: UnitState) -> int:
    return len(_STEPS) * state.attempt + _STEPS[state.status] if state.attempt else 0


def _unit_row(job: str, state: UnitState) -> UnitRow:
    unit = state.unit
    return UnitRow(
        *(job, unit.name, unit.task, unit.group, unit.stage, state.position, _json(unit.arguments), unit.rows),
        *(state.status, state.attempt, state.failures, state.due_at, state.started_at, state.finished_at),
        *(state.rows_done, state.error, state.note, _version(state)),
    )


def _state(row: UnitRow) -> UnitState:
    return UnitState(
        Unit(row.name, row.task, row.unit_group, row.stage, json.loads(row.arguments), row.rows),
        position=row.position,
        status=Status(row.status),
        attempt=row.attempt,
        failures=row.failures,
        due_at=row.due_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        rows_done=row.rows_done,
        error=row.error,
        note=row.note,
    )


def _job_row(job: Job) -> JobRow:
    version = 1 if job.cancelled_at else 0
    return JobRow(job.id, job.kind, _json(job.parameters), job.requested_at, job.cancelled_at, version)


def _job(row: JobRow, units: tuple[UnitState, ...]) -> Job:
    return Job(row.id, Kind(row.kind), json.loads(row.parameters), row.requested_at, row.cancelled_at, units)


def _json(mapping: Mapping[str, Value]) -> str:
    return json.dumps(mapping, sort_keys=True, separators=(",", ":"))
