"""How much of everything is done, and with which events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.workload import Span, Workload, write
from clickhouse.instants import epoch_ms

BLOCK = 5_000
YEAR_BLOCK = 20_000

_MS = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Sizes:
    """The fastest of `rounds` measurements counts, on both sides of a ratio."""

    live_blocks: int = 40
    rounds: int = 2
    year_blocks: int = 50
    single_seconds: float = 5.0
    alone: int = 20
    """Events sent one by one to a service at rest."""
    requests: int = 200
    settle_seconds: float = 15.0


FULL = Sizes()
QUICK = Sizes(live_blocks=10, rounds=1, year_blocks=3, single_seconds=1.5, alone=5, requests=40, settle_seconds=2.0)


@dataclass(frozen=True)
class Plan:
    sizes: Sizes
    now: datetime
    live: Workload
    """The last ten minutes."""
    given: list[Workload]
    """The same with ids from the clients, one for each round: sent again they would be known."""
    year: Workload
    """A year, in order, as an import would send it."""

    @classmethod
    def prepare(cls, folder: Path, sizes: Sizes) -> Plan:
        """Writes the workloads."""
        folder.mkdir()
        now = datetime.now(UTC)
        live = Workload(folder, "live", sizes.live_blocks, BLOCK)
        given = [Workload(folder, f"given-{number}", sizes.live_blocks, BLOCK) for number in range(sizes.rounds)]
        year = Workload(folder, "year", sizes.year_blocks, YEAR_BLOCK)
        end = epoch_ms(now)
        recent, whole = end - timedelta(minutes=10) // _MS, end - timedelta(days=365) // _MS
        write(live, Span(recent, end), tables=True)
        for workload in given:
            write(workload, Span(recent, end, given_ids=True))
        write(year, Span(whole, end, ascending=True))
        return cls(sizes, now, live, given, year)
