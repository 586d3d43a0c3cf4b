"""What is done to one engine, in order. Figures are named `part.what`; `table` says what each one means."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from bench.batches import CONNECTIONS, ingest
from bench.engines import Engine
from bench.history import Figures
from bench.proc import settle
from bench.queries import latencies, questions
from bench.service import empty_route
from bench.singles import post_singles
from bench.telling import told
from bench.workload import Span, Workload, write
from clickhouse.ddl import MERGE_AFTER
from clickhouse.instants import epoch_ms


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the fastest of `rounds` measurements counts, on both sides of a ratio."""

    live_blocks: int = 20
    rounds: int = 2
    year_blocks: int = 50
    single_seconds: float = 2.5
    requests: int = 200
    settle_seconds: float = 5.0


FULL = Sizes()
QUICK = Sizes(live_blocks=10, rounds=1, year_blocks=3, single_seconds=1.0, requests=40, settle_seconds=1.0)

BLOCK = 5_000
YEAR_BLOCK = 20_000


@dataclass(frozen=True)
class Plan:
    sizes: Sizes
    now: datetime
    live: Workload
    """The last ten minutes."""
    given: Workload
    """The same with ids from the clients."""
    year: Workload
    """A year, in order, as an import would send it."""

    @classmethod
    def prepare(cls, folder: Path, sizes: Sizes) -> Plan:
        """Writes the workloads."""
        folder.mkdir()
        now = datetime.now(UTC)
        live = Workload(folder, "live", sizes.live_blocks, BLOCK)
        given = Workload(folder, "given", sizes.live_blocks, BLOCK)
        year = Workload(folder, "year", sizes.year_blocks, YEAR_BLOCK)
        end = epoch_ms(now)
        recent, whole = end - timedelta(minutes=10) // _MS, end - timedelta(days=365) // _MS
        write(live, Span(recent, end), tables=True)
        write(given, Span(recent, end, given_ids=True))
        write(year, Span(whole, end, ascending=True))
        return cls(sizes, now, live, given, year)


_MS = timedelta(milliseconds=1)


def measure(engine: Engine, plan: Plan, figures: Figures) -> None:
    """Puts all figures of one engine into `figures`, as they come."""
    for name, part in _PARTS.items():
        with told(f"{engine.name}: {name}"):
            part(engine, plan, figures)


def _ingest(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("live") as service:
        figures["start.empty"] = service.start_seconds
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures["rss.idle"], figures["rss.children"] = service.rss_mb(), service.children_rss_mb()
        ingested = _fastest(plan, partial(ingest, service, plan.live))
        figures["batch.http"] = ingested.rate
        figures["batch.loop_us"], figures["batch.rest_us"] = ingested.loop_us, ingested.rest_us
        figures["batch.generator_us"] = ingested.generator_us
        figures["batch.http_ids"] = ingest(service, plan.given).rate
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures["rss.batches"] = service.rss_mb()


def _direct(engine: Engine, plan: Plan, figures: Figures) -> None:
    for connections in (1, CONNECTIONS):
        inserted = _fastest(plan, partial(engine.insert, plan.live, "direct", connections))
        figures[f"batch.direct_{connections}"] = inserted.rate
        figures[f"batch.direct_{connections}_us"] = inserted.cpu_us
    best = max(figures["batch.direct_1"], figures[f"batch.direct_{CONNECTIONS}"])
    figures["batch.ratio"] = figures["batch.http"] / best
    figures["batch.ratio_ids"] = figures["batch.http_ids"] / best


def _singles(engine: Engine, plan: Plan, figures: Figures) -> None:
    seconds = plan.sizes.single_seconds
    with engine.service("single") as service, empty_route(engine.folder / "empty") as empty:
        figures["start.empty"] = min(figures["start.empty"], service.start_seconds)
        for connections in (64, 256, 1024):
            least = post_singles(empty, plan.live, connections, seconds)
            ours = post_singles(service, plan.live, connections, seconds)
            settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
            single = f"single.{connections}"
            figures |= {f"{single}.empty": least.rate, f"{single}.rate": ours.rate}
            figures |= {
                f"{single}.ratio": ours.rate / least.rate,
                f"{single}.p50": ours.p50,
                f"{single}.p99": ours.p99,
            }
            figures |= {f"{single}.loop_us": ours.loop_us, f"{single}.rest_us": ours.rest_us}
            figures[f"{single}.empty_us"] = least.loop_us
        figures["rss.singles"] = service.rss_mb()


def _year(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("year") as service:
        figures["year.load"] = ingest(service, plan.year).rate
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures["rss.year"] = service.rss_mb()


def _queries(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("year") as service:
        figures["start.year"] = service.start_seconds
        # Until partitions that nobody writes to any more are one part each: a year of history is not news.
        time.sleep(MERGE_AFTER + 15)
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures["rss.idle_year"] = service.rss_mb()
        for name, p50, p99 in latencies(service, questions(plan.year.site, plan.now), plan.sizes.requests):
            figures |= {f"query.{name}.p50": p50, f"query.{name}.p99": p99}


class _Rated(Protocol):
    @property
    def rate(self) -> float: ...


R = TypeVar("R", bound=_Rated)


def _fastest(plan: Plan, measured: Callable[[], R]) -> R:
    return max((measured() for _ in range(plan.sizes.rounds)), key=lambda result: result.rate)


_PARTS: dict[str, Callable[[Engine, Plan, Figures], None]] = {
    "batches": _ingest,
    "direct inserts": _direct,
    "single events": _singles,
    "a year of events": _year,
    "queries": _queries,
}
