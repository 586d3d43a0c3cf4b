"""What a unit's coroutine gets and gives back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from redis.asyncio import Redis

from clickhouse.engine import Engine
from clickhouse.tables import Tables
from workers.fence import Fence
from workers.jobs.job import Unit, Value
from workers.metrics import Metrics
from workers.versions import Versions


@dataclass(frozen=True)
class Work:
    """What a process has to do work with."""

    engine: Engine
    redis: Redis
    fence: Fence
    versions: Versions
    tables: Tables
    metrics: Metrics
    now: Callable[[], datetime]
    """Aware UTC."""


@dataclass(frozen=True)
class Outcome:
    """`rows`: events read; None: as many as were estimated. `more`: units that follow, of later stages or this one; a
    name that is there already is passed over. `note`: one line for who looks at the unit."""

    rows: int | None = None
    more: tuple[Unit, ...] = ()
    note: str = ""


class Task(Protocol):
    """Does a unit. It may be cancelled at any await, or be done twice; never two of one unit at once.

    What it raises fails the job, but for LeaseError and Unavailable: then it is begun again.
    """

    def __call__(
        self, work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None], /
    ) -> Coroutine[Any, Any, Outcome]:
        """`progress` takes the events read so far, as often as one likes."""
        ...
