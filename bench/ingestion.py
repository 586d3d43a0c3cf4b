"""What is done to one engine to see how it takes events, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench import alone
from bench.batches import CONNECTIONS, ingest
from bench.engines import Engine
from bench.history import Figures
from bench.plan import Plan
from bench.proc import settle
from bench.recorded import recorded_bytes
from bench.service import Process, empty_route
from bench.singles import Answered, percentiles, post_singles, wait_until_visible
from bench.usage import Usage
from bench.workload import Workload

Part = Callable[[Engine, Plan, Figures], None]


def batches(engine: Engine, plan: Plan, figures: Figures) -> None:
    _batches(engine, plan, "batch", [plan.live] * plan.sizes.rounds, figures)


def batches_with_ids(engine: Engine, plan: Plan, figures: Figures) -> None:
    """Into a database of its own: in one that had events before Redis heard of ids, each is looked up for a day."""
    _batches(engine, plan, "given", plan.given, figures)


def _batches(engine: Engine, plan: Plan, name: str, workloads: list[Workload], figures: Figures) -> None:
    with engine.service(name) as service:
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        before = engine.usage(service)
        taken = max((_take(engine, service, workload) for workload in workloads), key=_rate)
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        used = engine.usage(service) - before
        figures[f"rss.{name}"] = service.rss_mb()
    events = sum(workload.events for workload in workloads)
    figures[f"{name}.http"] = taken.rate
    figures |= taken.usage.cpu(name, plan.live.events)
    figures[f"{name}.settled_us"] = (used.loop + used.rest + used.server + used.valkey) * 1e6 / events
    figures |= used.written(name, events)
    figures[f"{name}.spool_bytes"] = recorded_bytes(workloads[0])


def direct_inserts(engine: Engine, plan: Plan, figures: Figures) -> None:
    for connections in (1, CONNECTIONS):
        inserted = max((engine.insert(plan.live, "direct", connections) for _ in range(plan.sizes.rounds)), key=_rate)
        figures[f"batch.direct_{connections}"] = inserted.rate
        figures[f"batch.direct_{connections}_us"] = inserted.cpu_us
    best = max(figures["batch.direct_1"], figures[f"batch.direct_{CONNECTIONS}"])
    figures["batch.ratio"] = figures["batch.http"] / best
    figures["given.ratio"] = figures["given.http"] / best


def singles(engine: Engine, plan: Plan, figures: Figures) -> None:
    seconds = plan.sizes.single_seconds
    sent = 0
    ours: list[_Posted] = []
    least: list[tuple[Answered, float]] = []
    with engine.service("single") as service, empty_route(engine.folder / "empty") as empty:
        whole = engine.usage(service)
        for _ in range(plan.sizes.rounds):
            began = empty.cpu()
            answered = post_singles(empty, plan.live, seconds)
            least.append((answered, (empty.cpu() - began).main * 1e6 / answered.requests))
            before = engine.usage(service)
            answered = post_singles(service, plan.live, seconds)
            sent += answered.requests
            behind = wait_until_visible(service, plan.live, sent) - answered.ended
            ours.append(_Posted(answered, behind, engine.usage(service) - before))
            settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures |= (engine.usage(service) - whole).written("single", sent)
        figures["rss.singles"] = service.rss_mb()
    fastest, empty_us = max(least, key=lambda one: one[0].rate)
    best = max(ours, key=lambda one: one.answered.rate)
    figures |= {
        "single.rate": best.answered.rate,
        "single.empty": fastest.rate,
        "single.ratio": best.answered.rate / fastest.rate,
        "single.p50": best.answered.p50,
        "single.p99": best.answered.p99,
        "single.behind": best.behind,
        "single.empty_p50": fastest.p50,
        "single.empty_p99": fastest.p99,
        "single.empty_us": empty_us,
        "single.generator_us": best.answered.generator_us,
        "single.spool_bytes": recorded_bytes(plan.live, singly=True),
    }
    figures |= best.usage.cpu("single", best.answered.requests)


def at_rest(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("batch") as service:
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        found = alone.latencies(service, plan.live, plan.sizes.alone)
    figures["alone.p50"], figures["alone.max"] = percentiles(found)[0], max(found)


INGESTION: dict[str, Part] = {
    "batches": batches,
    "batches with ids": batches_with_ids,
    "direct inserts": direct_inserts,
    "single events": singles,
    "events alone": at_rest,
}


class _Rated(Protocol):
    @property
    def rate(self) -> float: ...


def _rate(measured: _Rated) -> float:
    return measured.rate


@dataclass(frozen=True)
class _Taken:
    rate: float
    usage: Usage


@dataclass(frozen=True)
class _Posted:
    """`behind`: seconds from the last answer until all were visible."""

    answered: Answered
    behind: float
    usage: Usage


def _take(engine: Engine, service: Process, workload: Workload) -> _Taken:
    before = engine.usage(service)
    rate = ingest(service, workload)
    return _Taken(rate, engine.usage(service) - before)
