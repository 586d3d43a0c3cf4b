"""/api/schedule: what runs when, and running it now."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.spans import Span
from service.jobs.rows import Begun
from service.requests import no_repeats
from service.state import state_of
from workers.jobs.job import Kind, Status
from workers.scheduling import State

router = APIRouter(prefix="/api/schedule", tags=["jobs"], dependencies=[Depends(no_repeats)])


class Period(BaseModel):
    """Half-open, UTC."""

    start: str
    end: str

    @classmethod
    def of(cls, span: Span) -> Period:
        return cls(start=rfc3339(from_epoch_ms(span.start)), end=rfc3339(from_epoch_ms(span.end)))


class ScheduleRow(BaseModel):
    """One schedule; `last_run` and what belongs to it are null as long as it never ran. `outcome` is its job's status.

    What was missed is one period with what is due: `last_period` may be longer than others."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "daily",
                "what": "reconciles the day before",
                "when": "every day at 00:15",
                "kind": "reconcile",
                "last_run": "2025-02-01T00:15:00.020Z",
                "last_period": {"start": "2025-01-31T00:00:00Z", "end": "2025-02-01T00:00:00Z"},
                "job": "reconcile-1f0c9a7be2d4-1",
                "outcome": "done",
                "error": None,
                "next_run": "2025-02-02T00:15:00Z",
                "next_period": {"start": "2025-02-01T00:00:00Z", "end": "2025-02-02T00:00:00Z"},
            }
        }
    )

    name: str
    what: str
    when: str
    kind: Kind
    last_run: str | None
    last_period: Period | None
    job: str | None
    outcome: Status | None
    error: str | None
    next_run: str
    next_period: Period

    @classmethod
    def of(cls, state: State) -> ScheduleRow:
        run, job = state.run, state.job
        return cls(
            name=state.schedule.name,
            what=state.schedule.what,
            when=state.schedule.when,
            kind=state.schedule.kind,
            last_run=rfc3339(from_epoch_ms(run.at)) if run else None,
            last_period=Period.of(run.span) if run else None,
            job=run.job if run else None,
            outcome=job.status if job else None,
            error=job.error or None if job else None,
            next_run=rfc3339(from_epoch_ms(state.following)),
            next_period=Period.of(state.period),
        )


class ScheduleList(BaseModel):
    """`enabled`: whether workers begin them by themselves (READERSHIP_SCHEDULES)."""

    enabled: bool
    results: list[ScheduleRow]


@router.get("")
async def get_schedule(request: Request) -> ScheduleList:
    """What runs when, UTC: last run and outcome, next run, and which period these are about."""
    state = state_of(request)
    found = await state.schedules.states()
    return ScheduleList(enabled=state.settings.schedules, results=[*map(ScheduleRow.of, found)])


@router.post("/{name}", status_code=202)
async def run_schedule(request: Request, name: str) -> Begun:
    """Run one now: the last closed period, with what was missed before it. A run that goes on is joined."""
    job = await state_of(request).schedules.run(name)
    return Begun(id=job.id, status_url=f"/api/jobs/{job.id}")
