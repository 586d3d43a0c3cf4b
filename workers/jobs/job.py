"""Jobs and their units as values; a job's status and progress follow from its units. Times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Value = str | int | bool


class Kind(StrEnum):
    BACKFILL = "backfill"
    RECONCILE = "reconcile"
    DELETION = "deletion"
    RETENTION = "retention"
    COMPACTION = "compaction"


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True)
class Unit:
    """Work of seconds to minutes that may be done twice. Units of one stage run side by side, stages one by one."""

    name: str
    """Unique in its job, such as `views_by_day[2026]`."""
    task: str
    """Which coroutine does it: a key of TASKS."""
    group: str
    """What progress is shown by: a granularity, or the task."""
    stage: int = 1
    arguments: Mapping[str, Value] = field(default_factory=dict)
    rows: int = 0
    """Events it will read, as far as one can tell beforehand; for rate and ETA."""


@dataclass(frozen=True)
class UnitState:
    """A unit and what became of it so far."""

    unit: Unit
    position: int = 0
    status: Status = Status.QUEUED
    attempt: int = 0
    """How often it was begun."""
    failures: int = 0
    """How many of these ended badly: by an error that may pass, or with their worker."""
    due_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    rows_done: int = 0
    error: str = ""
    note: str = ""

    @property
    def rows(self) -> int:
        """Events read in all: as told when it was done, as estimated before."""
        return self.rows_done if self.status is Status.DONE else max(self.unit.rows, self.rows_done)


@dataclass(frozen=True)
class Progress:
    """Of a job, or of one group of its units."""

    status: Status
    units: int
    units_done: int
    rows: int
    rows_done: int
    seconds: float
    """How long something of it has been running."""

    @property
    def rate(self) -> float | None:
        """Rows a second; None: there is nothing to tell it from."""
        return self.rows_done / self.seconds if self.rows_done and self.seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left at that rate; 0 when it has ended, None when nobody knows."""
        if self.status in ENDED:
            return 0.0
        return (self.rows - self.rows_done) / self.rate if self.rate else None


@dataclass(frozen=True)
class Job:
    id: str
    kind: Kind
    parameters: Mapping[str, Value]
    requested_at: int
    cancelled_at: int = 0
    units: tuple[UnitState, ...] = ()

    @property
    def status(self) -> Status:
        """Cancelled after the last unit was done is done."""
        if all(one.status is Status.DONE for one in self.units):
            return Status.DONE
        if self.cancelled_at:
            return Status.CANCELLED
        return _status([one for one in self.units if one.unit.stage <= self.last_stage])

    @property
    def last_stage(self) -> int:
        """No stage after it is begun: it has failed, or is the last."""
        failed = [one.unit.stage for one in self.units if one.status is Status.FAILED]
        return min(failed) if failed else max((one.unit.stage for one in self.units), default=0)

    @property
    def started_at(self) -> int:
        return min((one.started_at for one in self.units if one.started_at), default=0)

    @property
    def finished_at(self) -> int:
        if self.status not in ENDED:
            return 0
        if self.status is Status.CANCELLED:
            return self.cancelled_at
        return max((one.finished_at for one in self.units), default=self.requested_at)

    @property
    def error(self) -> str:
        """One line; ''. There may be one of a unit that is tried again."""
        worst = sorted((one for one in self.units if one.error), key=lambda one: one.status is not Status.FAILED)
        return f"{worst[0].unit.name}: {worst[0].error}" if worst else ""

    @property
    def current(self) -> list[str]:
        """Names of the units that run."""
        return [] if self.cancelled_at else [one.unit.name for one in self.units if one.status is Status.RUNNING]

    @property
    def groups(self) -> dict[str, list[UnitState]]:
        """In the order of their first units."""
        found: dict[str, list[UnitState]] = {}
        for one in self.units:
            found.setdefault(one.unit.group, []).append(one)
        return found

    def progress(self, now: int, group: str | None = None) -> Progress:
        """Of the whole job, or of one of its groups."""
        units = self.units if group is None else self.groups[group]
        status = self.status if group is None else _status(units)
        if group is not None and status not in ENDED and self.status in ENDED:
            status = self.status  # what was not begun never will be
        started = min((one.started_at for one in units if one.started_at), default=0)
        ended = now if status not in ENDED else max((one.finished_at for one in units), default=0)
        return Progress(
            status,
            units=len(units),
            units_done=sum(one.status is Status.DONE for one in units),
            rows=sum(one.rows for one in units),
            rows_done=sum(one.rows_done for one in units),
            seconds=max(ended - started, 0) / 1000 if started else 0.0,
        )

    def due(self, now: int) -> list[UnitState]:
        """What may be begun, and what says that it runs: whether it does, its lease knows."""
        if self.cancelled_at:
            return []
        left = [one for one in self.units if one.status in (Status.QUEUED, Status.RUNNING)]
        stage = min((one.unit.stage for one in left), default=0)
        if stage > self.last_stage:
            return []
        return [one for one in left if one.unit.stage == stage and one.due_at <= now]


def _status(units: Sequence[UnitState]) -> Status:
    """Failed only when nothing of it goes on."""
    found = {one.status for one in units}
    if found <= {Status.DONE}:
        return Status.DONE
    if found <= {Status.DONE, Status.FAILED}:
        return Status.FAILED
    return Status.QUEUED if found == {Status.QUEUED} else Status.RUNNING
