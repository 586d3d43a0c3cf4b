"""`python -m bench`: measure, print one table, remember the figures. With --ingest of the way in alone, and more."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import ingestion, measure, table
from bench.engines import ENGINES
from bench.history import begin
from bench.plan import FULL, QUICK, Plan
from bench.telling import attempt, report

# The whole bench; what it started is stopped on the way out.
SECONDS = 900


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures for the README, in one run.")
    parser.add_argument("--ingest", action="store_true", help="how events are taken, alone and in detail")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    given = parser.parse_args()
    target, parts, sections = (
        ("bench-ingest", ingestion.INGESTION, table.INGESTION)
        if given.ingest
        else ("bench", measure.EVERYTHING, table.EVERYTHING)
    )
    run = begin(target, quick=given.quick)
    with tempfile.TemporaryDirectory(prefix="readership-bench-") as folder, attempt(run, SECONDS) as outcome:
        plan = Plan.prepare(Path(folder, "events"), QUICK if given.quick else FULL)
        for name in ENGINES if given.engine == "both" else [given.engine]:
            with ENGINES[name](Path(folder)) as engine:
                measure.measure(engine, plan, run.engines.setdefault(name, {}), parts)
    report(run, [table.table(run.engines, sections)], outcome)


if __name__ == "__main__":
    main()
