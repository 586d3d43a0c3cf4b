"""What a bench says while it runs, and how it ends: whole, failed, or stopped by a signal."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from rich.console import Console
from rich.table import Table

from bench.apart import Failed
from bench.engines import LibchdbUnavailable
from bench.history import FILE, Run, record
from bench.service import NotReady


@dataclass
class Outcome:
    """`faults`: what makes the figures worthless."""

    faults: list[str] = field(default_factory=list)


@contextmanager
def attempt(run: Run, seconds: int) -> Iterator[Outcome]:
    """Ends the block after `seconds` or on SIGTERM; the outcome tells, and what was measured so far is kept."""
    outcome = Outcome()
    _say(f"{run.machine}; load average {run.load}")
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, _stop)
    signal.alarm(seconds)
    try:
        yield outcome
    except LibchdbUnavailable as reason:
        _say(f"server skipped: {reason}")
    except (_Stopped, Failed, NotReady) as reason:
        outcome.faults.append(str(reason))
    finally:
        signal.alarm(0)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Says what is done, and how long it took."""
    sys.stderr.write(f"{what} … ")
    sys.stderr.flush()
    began = time.perf_counter()
    try:
        yield
    finally:
        _say(f"{time.perf_counter() - began:.1f} s")


def report(run: Run, tables: Iterable[Table], outcome: Outcome) -> None:
    """Prints the tables and records the run; SystemExit with the faults where there are any."""
    # As wide as it has to be, also in a pipe.
    console = Console(width=max(160, Console().width))
    console.print(run.title, highlight=False)
    for table in tables:
        console.print(table)
    if outcome.faults:
        sys.exit("\n".join(["NOT RECORDED:", *outcome.faults]))
    record(run)
    _say(f"appended to {FILE}")


class _Stopped(Exception):
    """A signal: time is up, or somebody ends the bench."""


def _stop(number: int, _frame: FrameType | None) -> None:
    raise _Stopped(signal.Signals(number).name)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
