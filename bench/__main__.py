"""`python -m bench`: measure, print one table, remember the figures."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType

from rich.console import Console

from bench import engines
from bench.apart import Failed
from bench.engines import Engine, LibchdbUnavailable
from bench.history import FILE, begin, record
from bench.measure import FULL, QUICK, Figures, Plan, Sizes, measure
from bench.service import NotReady
from bench.table import table

# The whole bench; what it started is stopped on the way out.
SECONDS = 600

_ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "embedded": engines.embedded,
    "server": engines.server,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures for the README, in one run.")
    parser.add_argument("--quick", action="store_true", help="less of everything, within a minute")
    parser.add_argument("--engine", choices=(*_ENGINES, "both"), default="both")
    given = parser.parse_args()
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, _stop)
    signal.alarm(SECONDS)
    run = begin(quick=given.quick)
    sys.stderr.write(f"{run.machine}; load average {run.load}\n")
    asked = list(_ENGINES) if given.engine == "both" else [given.engine]
    with tempfile.TemporaryDirectory(prefix="readership-bench-") as folder:
        finished = _measure(asked, Path(folder), QUICK if given.quick else FULL, run.engines)
    title = f"{run.date}, commit {run.commit}, {run.machine}, load average {run.load}"
    # As wide as it has to be, also in a pipe.
    Console(width=max(110, Console().width)).print(table(title, run.engines))
    if not finished:
        sys.exit("not finished, so not recorded")
    record(run)
    sys.stderr.write(f"appended to {FILE}\n")


def _measure(asked: list[str], folder: Path, sizes: Sizes, into: dict[str, Figures]) -> bool:
    """Whether it came to its end; what was measured before time was up, or something failed, is in `into`."""
    try:
        plan = Plan.prepare(folder / "events", sizes)
        for name in asked:
            with _ENGINES[name](folder) as engine:
                measure(engine, plan, into.setdefault(name, {}))
    except LibchdbUnavailable as reason:
        sys.stderr.write(f"server skipped: {reason}\n")
    except (_Stopped, Failed, NotReady) as reason:
        sys.stderr.write(f"\n{reason}\n")
        return False
    return True


class _Stopped(Exception):
    """A signal: time is up, or somebody ends the bench."""


def _stop(number: int, _frame: FrameType | None) -> None:
    raise _Stopped(signal.Signals(number).name)


if __name__ == "__main__":
    main()
