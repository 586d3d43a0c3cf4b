"""`python -m bench`: measure, print one table, remember the figures."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.engines import ENGINES
from bench.history import begin
from bench.measure import FULL, QUICK, Plan, measure
from bench.table import table
from bench.telling import attempt, report

# The whole bench; what it started is stopped on the way out.
SECONDS = 600


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures for the README, in one run.")
    parser.add_argument("--quick", action="store_true", help="less of everything, within a minute")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="both")
    given = parser.parse_args()
    run = begin("bench", quick=given.quick)
    with tempfile.TemporaryDirectory(prefix="readership-bench-") as folder, attempt(run, SECONDS) as outcome:
        plan = Plan.prepare(Path(folder, "events"), QUICK if given.quick else FULL)
        for name in ENGINES if given.engine == "both" else [given.engine]:
            with ENGINES[name](Path(folder)) as engine:
                measure(engine, plan, run.engines.setdefault(name, {}))
    report(run, [table(run.engines)], outcome)


if __name__ == "__main__":
    main()
