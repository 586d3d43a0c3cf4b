"""`python -m bench.samples`: build, ask, compare; print the tables, remember the figures."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.engines import ENGINES
from bench.history import begin
from bench.samples.dataset import Sizes
from bench.samples.measure import measure
from bench.samples.tables import tables
from bench.telling import attempt, report

# For all of it; what it started is stopped on the way out.
SECONDS = 3_600

# Two years, of which the last three days have a sample a second.
_FULL = Sizes(days=731, dense=3)
# A year and a little less than a month.
_QUICK = Sizes(days=390, dense=0)


def main() -> None:
    given = _parser().parse_args()
    sizes = _QUICK if given.quick else _FULL
    repeats = given.repeats or (20 if given.quick else 100)
    run = begin("bench-samples", quick=given.quick)
    with ExitStack() as stack:
        folder = given.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="readership-bench-"))
        outcome = stack.enter_context(attempt(run, SECONDS))
        for name in ENGINES if given.engine == "both" else [given.engine]:
            with ENGINES[name](Path(folder).resolve()) as engine:
                outcome.faults += measure(engine, sizes, repeats, run.engines.setdefault(name, {}))
    report(run, tables(sizes.rows, run.engines), outcome)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.samples", description="What answers about 26 M samples of 20 series cost."
    )
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="embedded")
    parser.add_argument("--data", type=Path, metavar="DIR", help="build there, and take what is built there already")
    parser.add_argument("--repeats", type=int, metavar="N", help="of each question; default 100, with --quick 20")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    return parser


if __name__ == "__main__":
    main()
