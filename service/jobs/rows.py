"""How jobs look in answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from clickhouse.instants import from_epoch_ms, rfc3339
from workers.jobs.job import ENDED, Job, Kind, Progress, Status


class Group(BaseModel):
    """Progress of what is shown together: a granularity, or a task."""

    name: str
    status: Status
    units: int
    units_done: int
    rows: int
    rows_done: int
    rows_per_second: float | None
    eta_seconds: float | None

    @classmethod
    def of(cls, name: str, told: Progress) -> Group:
        return cls(name=name, **_told(told))


class JobRow(BaseModel):
    """A job; `rows` are events (or rows of a rollup) that it reads in all, estimated until it has."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "backfill-1f0c9a7be2d4-1",
                "kind": "backfill",
                "status": "running",
                "parameters": {"granularity": "day", "start": "2025-01-01T00:00:00Z", "clear": False, "from": "raw"},
                "requested_at": "2025-02-01T12:00:00Z",
                "started_at": "2025-02-01T12:00:00.120Z",
                "finished_at": None,
                "current": ["views_by_day[2025]"],
                "units": 2,
                "units_done": 1,
                "rows": 2_000_000,
                "rows_done": 1_200_000,
                "rows_per_second": 600_000.0,
                "eta_seconds": 1.3,
                "error": None,
                "progress": [],
            }
        }
    )

    id: str
    kind: Kind
    status: Status
    parameters: dict[str, Any]
    requested_at: str
    started_at: str | None
    finished_at: str | None
    current: list[str]
    units: int
    units_done: int
    rows: int
    rows_done: int
    rows_per_second: float | None
    eta_seconds: float | None
    error: str | None
    progress: list[Group]

    @classmethod
    def of(cls, job: Job, now: int) -> JobRow:
        told = job.progress(now)
        return cls(
            id=job.id,
            kind=job.kind,
            parameters=dict(job.parameters),
            requested_at=rfc3339(from_epoch_ms(job.requested_at)),
            started_at=_instant(job.started_at),
            finished_at=_instant(job.finished_at if told.status in ENDED else 0),
            current=job.current,
            error=job.error or None,
            progress=[Group.of(name, job.progress(now, name)) for name in job.groups],
            **_told(told),
        )


class UnitRow(BaseModel):
    name: str
    task: str
    group: str
    stage: int
    status: Status
    attempt: int
    started_at: str | None
    finished_at: str | None
    rows: int
    rows_done: int
    error: str | None
    note: str | None


class JobDetail(JobRow):
    """With its units, in the order they are begun."""

    steps: list[UnitRow]

    @classmethod
    def of(cls, job: Job, now: int) -> JobDetail:
        steps = [
            UnitRow(
                name=one.unit.name,
                task=one.unit.task,
                group=one.unit.group,
                stage=one.unit.stage,
                status=one.status,
                attempt=one.attempt,
                started_at=_instant(one.started_at),
                finished_at=_instant(one.finished_at),
                rows=one.rows,
                rows_done=one.rows_done,
                error=one.error or None,
                note=one.note or None,
            )
            for one in job.units
        ]
        return cls(**JobRow.of(job, now).model_dump(), steps=steps)


class JobPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[JobRow]


class Begun(BaseModel):
    """The job that does what was asked for, which may have been there already."""

    id: str
    status_url: str


def _told(told: Progress) -> dict[str, Any]:
    rate, eta = told.rate, told.eta_seconds
    return {
        "status": told.status,
        "units": told.units,
        "units_done": told.units_done,
        "rows": told.rows,
        "rows_done": told.rows_done,
        "rows_per_second": None if rate is None else round(rate, 1),
        "eta_seconds": None if eta is None else round(eta, 1),
    }


def _instant(epoch_ms: int) -> str | None:
    return rfc3339(from_epoch_ms(epoch_ms)) if epoch_ms else None
