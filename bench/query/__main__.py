"""`python -m bench.query`: build, ask, compare; print the tables, remember the figures."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.engines import ENGINES
from bench.history import begin
from bench.query.measure import Sizes, measure
from bench.query.tables import tables
from bench.telling import attempt, report

# For all of it; what it started is stopped on the way out.
SECONDS = 7_200


def main() -> None:
    given = _parser().parse_args()
    sizes = Sizes(
        events=given.events or (2_000_000 if given.quick else 50_000_000),
        repeats=given.repeats or (20 if given.quick else 100),
        insert_blocks=(3 if given.quick else 12) if given.inserts else 0,
        growth=given.growth,
    )
    run = begin("bench-query", quick=given.quick)
    with ExitStack() as stack:
        folder = given.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="readership-bench-"))
        outcome = stack.enter_context(attempt(run, SECONDS))
        for name in ENGINES if given.engine == "both" else [given.engine]:
            with ENGINES[name](Path(folder).resolve()) as engine:
                outcome.faults += measure(engine, sizes, run.engines.setdefault(name, {}))
    report(run, tables(sizes.events, run.engines), outcome)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.query", description="What answers cost on 50 M events.")
    parser.add_argument("--events", type=int, metavar="N", help="default 50,000,000; with --quick 2,000,000")
    parser.add_argument("--engine", choices=(*ENGINES, "both"), default="embedded")
    parser.add_argument("--data", type=Path, metavar="DIR", help="build there, and take what is built there already")
    parser.add_argument("--repeats", type=int, metavar="N", help="of each question; default 100, with --quick 20")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--inserts", action=argparse.BooleanOptionalAction, default=True, help="measure them as well")
    parser.add_argument("--growth", action=argparse.BooleanOptionalAction, default=True, help="ask a tenth as well")
    return parser


if __name__ == "__main__":
    main()
