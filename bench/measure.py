"""What is done to one engine, in order. Figures are named `part.what`; `table` says what each one means."""

from __future__ import annotations

import time
from collections.abc import Mapping

from bench.batches import ingest
from bench.engines import Engine
from bench.history import Figures
from bench.ingestion import INGESTION, Part
from bench.plan import Plan
from bench.proc import settle
from bench.queries import latencies, questions
from bench.telling import told
from clickhouse.ddl import MERGE_AFTER


def measure(engine: Engine, plan: Plan, figures: Figures, parts: Mapping[str, Part]) -> None:
    """Puts all figures of one engine into `figures`, as they come."""
    for name, part in parts.items():
        with told(f"{engine.name}: {name}"):
            part(engine, plan, figures)


def _start(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("empty") as service:
        figures["start.empty"] = service.start_seconds
        settle(*engine.pids(service), seconds=plan.sizes.settle_seconds)
        figures["rss.idle"], figures["rss.children"] = service.rss_mb(), service.children_rss_mb()


def _year(engine: Engine, plan: Plan, figures: Figures) -> None:
    with engine.service("year") as service:
        figures["year.load"] = ingest(service, plan.year)
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


EVERYTHING: dict[str, Part] = {"start": _start, **INGESTION, "a year of events": _year, "queries": _queries}
