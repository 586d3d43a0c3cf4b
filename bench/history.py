"""Every run, one line of JSON in history.jsonl: a figure says little without its machine and its commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("history.jsonl")

Figures = dict[str, float]


class Run(msgspec.Struct):
    """`load` is the one-minute load average before: above 1.5 others were at work, do not trust the run."""

    date: str
    commit: str
    machine: str
    load: float
    quick: bool
    engines: dict[str, Figures]
    target: str = "bench"
    """Of the Makefile."""

    @property
    def title(self) -> str:
        return f"{self.date}, commit {self.commit}, {self.machine}, load average {self.load}"


def begin(target: str, *, quick: bool) -> Run:
    """The run as far as it is known before anything is measured."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Run(now, _commit(), _machine(), round(os.getloadavg()[0], 2), quick, {}, target)


def record(run: Run) -> None:
    """Appends the run."""
    rounded = {name: {key: _significant(value) for key, value in of.items()} for name, of in run.engines.items()}
    run.engines = rounded
    with FILE.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _machine() -> str:
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ": unknown")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} × {cpu.partition(':')[2].strip()}, {memory:.0f} GiB,"
        f" Linux {platform.release()}, Python {platform.python_version()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _commit() -> str:
    """Short hash, with + where the tree differs from it; `none` before the first commit."""
    commit = _git("rev-parse", "--short", "HEAD")
    if not commit:
        return "none"
    return f"{commit}+" if _git("status", "--porcelain", "--", ".", ":!bench/history.jsonl") else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git of the developer's PATH
            cwd=FILE.parent.parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
