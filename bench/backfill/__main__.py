"""`python -m bench.backfill`: build, aggregate by hand, backfill under load; print the table, remember the figures."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.backfill.measure import measure
from bench.engines import ENGINES
from bench.history import begin
from bench.table import Row, Section, table
from bench.telling import attempt, report
from clickhouse.rollups import GRAINS

# For all of it; what it started is stopped on the way out.
SECONDS = 5_400

_WAITS = tuple(
    Section(
        f"An event until it is stored, ms: {title}",
        (
            Row("p50", "{:.0f}", (f"{part}.p50",)),
            Row("p99", "{:.0f}", (f"{part}.p99",)),
            Row("longest", "{:,.0f}", (f"{part}.max",)),
            Row("events", "{:,.0f}", (f"{part}.events",)),
        ),
    )
    for part, title in (("rest", "at rest"), ("during", "while everything is rebuilt"))
)

_SECTIONS = (
    Section(
        "Every rollup made again from raw",
        (
            Row("seconds", "{:,.1f}", ("alone.seconds",)),
            Row("events/s", "{:,.0f}", ("alone.rate",)),
            Row("INSERT … SELECT / backfill", "{:.2f}", ("alone.ratio",), "≥ 0.8"),
            Row("the same, events coming in", "{:.2f}", ("beside.ratio",)),
            *(Row(f"  INSERT … SELECT, {grain.name}, s", "{:,.1f}", (f"plain.{grain.name}",)) for grain in GRAINS),
        ),
    ),
    *_WAITS,
    Section(
        "A batch waits for the fence, ms at most: while everything is rebuilt",
        (
            Row("p50", "{:.0f}", ("fence.p50",)),
            Row("p99", "{:.0f}", ("fence.p99",), "≤ 500"),
            Row("longest", "{:,.0f}", ("fence.max",)),
            Row("batches", "{:,.0f}", ("fence.batches",)),
        ),
    ),
    Section(
        "Memory, MB",
        (
            Row("at rest", "{:,.0f}", ("memory.rest",)),
            Row("most while everything is rebuilt", "{:,.0f}", ("memory.peak",), "≤ 2,000"),
        ),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.backfill", description="What a backfill of everything costs."
    )
    parser.add_argument("--events", type=int, metavar="N", help="default 50,000,000; with --quick 2,000,000")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="embedded")
    parser.add_argument("--data", type=Path, metavar="DIR", help="build there, and take what is built there already")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    given = parser.parse_args()
    run = begin("bench-backfill", quick=given.quick)
    with ExitStack() as stack:
        folder = given.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="readership-bench-"))
        outcome = stack.enter_context(attempt(run, SECONDS))
        for name in ENGINES if given.engine == "both" else [given.engine]:
            with ENGINES[name](Path(folder).resolve()) as engine:
                events = given.events or (2_000_000 if given.quick else 50_000_000)
                measure(engine, events, run.engines.setdefault(name, {}))
    report(run, [table(run.engines, _SECTIONS)], outcome)


if __name__ == "__main__":
    main()
