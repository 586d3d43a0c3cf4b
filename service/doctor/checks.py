"""The checks, each a pure function of what was found: ok, warn or fail, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel
from rich.filesize import decimal

from clickhouse.instants import from_epoch_ms, rfc3339
from service.problems import FieldError
from workers.dead_letters import Summary
from workers.flush_status import FlushStatus
from workers.spool_status import SpoolStatus

# Shares of a limit from which there is still time to act.
_MUCH = 0.8
_SCARCE = 2.0


class Status(StrEnum):
    """In the order of their weight. `warn`: will fail if nothing changes. `fail`: a promise does not hold now."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(BaseModel):
    name: str
    status: Status
    detail: str
    remedy: str | None = None
    """What to do; none where all is well."""


_REMEDIES = {
    "clickhouse": "start ClickHouse, or correct READERSHIP_CLICKHOUSE_DSN; events wait on disk meanwhile",
    "redis": "start Redis, or correct READERSHIP_REDIS_URL; events are taken meanwhile, answers are not cached",
    "spool": "see the checks of the spool and the disk below",
}


def worst(checks: Sequence[Check]) -> Status:
    return max((check.status for check in checks), key=list(Status).index, default=Status.OK)


def parts(faults: Sequence[FieldError]) -> list[Check]:
    """One check for each of what /readyz asks."""
    found = {fault.field: fault.message for fault in faults}
    return [
        Check(name=name, status=Status.FAIL, detail=found[name], remedy=remedy)
        if name in found
        else Check(name=name, status=Status.OK, detail="ready")
        for name, remedy in _REMEDIES.items()
    ]


def spool(status: SpoolStatus, name: str = "spool", rows: str = "event") -> list[Check]:
    """Bytes and age against their limits."""
    size, age = status.bytes, status.oldest_age_seconds
    waiting = "why does nothing leave it? See clickhouse and flush"
    return [
        _check(
            f"{name} size",
            _against(size, status.limit_bytes, _MUCH),
            f"{decimal(size)} of {decimal(status.limit_bytes)}, {status.waiting_events:,} {rows}s wait",
            f"{waiting}; a larger spool buys time",
        ),
        _check(
            f"{name} age",
            _against(age, status.limit_age_seconds, _MUCH),
            f"the oldest {rows} waits {age:,.0f} s of {status.limit_age_seconds:,.0f} s",
            waiting,
        ),
    ]


def disk(status: SpoolStatus) -> Check:
    """Raises OSError where the disk does not tell."""
    free = status.free_bytes
    return _check(
        "disk",
        _reserve(free, status.min_free_bytes),
        f"{decimal(free)} free, below {decimal(status.min_free_bytes)} nothing is taken",
        "make room on the disk of READERSHIP_DATA_DIR",
    )


def dead_letters(summaries: Sequence[Summary]) -> Check:
    """Each holds events that were acknowledged and are in no answer: a failure until somebody decides."""
    if not summaries:
        return Check(name="dead letters", status=Status.OK, detail="none")
    events = sum(summary.about.rows for summary in summaries if summary.about)
    unreadable = sum(1 for summary in summaries if summary.fault)
    return Check(
        name="dead letters",
        status=Status.FAIL,
        detail=f"{len(summaries):,}, with {events:,} events" + (f"; {unreadable:,} unreadable" if unreadable else ""),
        remedy="readership dead-letter list, then retry or drop",
    )


def flush(status: FlushStatus, name: str = "flush") -> Check:
    """A failure that was followed by a success is history, and stays to be read."""
    if status.last_failure is None:
        return Check(name=name, status=Status.OK, detail="no failure since the start")
    when = rfc3339(from_epoch_ms(status.last_failure))
    if not status.failing:
        return Check(name=name, status=Status.OK, detail=f"works; last failure {when}: {status.last_error}")
    return Check(
        name=name,
        status=Status.WARN,
        detail=f"fails since its last try, {when}: {status.last_error}",
        remedy="it is tried again by itself; if it lasts, what ClickHouse says here is what to mend",
    )


def _check(name: str, status: Status, detail: str, remedy: str) -> Check:
    return Check(name=name, status=status, detail=detail, remedy=None if status is Status.OK else remedy)


def _against(value: float, limit: float, much: float) -> Status:
    if value >= limit:
        return Status.FAIL
    return Status.WARN if value >= much * limit else Status.OK


def _reserve(free: float, least: float) -> Status:
    if free < least:
        return Status.FAIL
    return Status.WARN if free < _SCARCE * least else Status.OK
