"""What a durable append costs in our log and in SQLite: `python -m bench.spool [--quick]`; decision 0010 quotes it."""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Protocol

from bench.apart import apart
from bench.history import Figures, begin
from bench.proc import Written
from bench.singles import percentiles
from bench.table import Row, Section, table
from bench.telling import attempt, report, told
from workers.spool.records import framed
from workers.spool.segments import Segments

SECONDS = 300


class Log(Protocol):
    """Keeps records: all of them are on disk when `append` returns."""

    def append(self, payloads: Sequence[bytes]) -> object: ...

    def close(self) -> None: ...


class Ours:
    """As `workers.spool.spool` appends."""

    def __init__(self, folder: Path) -> None:
        self._segments = Segments(folder)

    def append(self, payloads: Sequence[bytes]) -> object:
        return self._segments.append([framed(1, 0, payload) for payload in payloads])

    def close(self) -> None:
        self._segments.close()


class Sqlite:
    """A row a record, a transaction a group."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "spool.sqlite", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE records (number INTEGER PRIMARY KEY, events INT, accepted_at INT, payload BLOB)"
        )

    def append(self, payloads: Sequence[bytes]) -> object:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO records (events, accepted_at, payload) VALUES (?, ?, ?)", zip(repeat(1), repeat(0), payloads)
        )
        return self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


LOGS: dict[str, Callable[[Path], Log]] = {"segments": Ours, "sqlite": Sqlite}


@dataclass(frozen=True)
class Shape:
    """One commit: so many records of so many bytes."""

    name: str
    title: str
    records: int
    size: int

    @property
    def bytes(self) -> int:
        return self.records * self.size


SHAPES = (
    Shape("one", "1 record of 250 bytes", 1, 250),
    Shape("group", "64 records of 250 bytes", 64, 250),
    Shape("large", "1 record of 1 MB", 1, 10**6),
)


@dataclass(frozen=True)
class Committed:
    """`latencies` in ms; bytes written per byte of payload, of the process and of the whole disk."""

    latencies: list[float]
    dirtied: float
    device: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.spool", description="The spool's log against SQLite.")
    parser.add_argument("--quick", action="store_true", help="a second of each")
    quick = parser.parse_args().quick
    run = begin("bench-spool", quick=quick)
    with tempfile.TemporaryDirectory(prefix="readership-bench-") as folder, attempt(run, SECONDS) as outcome:
        # In turns: what else the disk has to do then falls on both.
        for turn in range(1 if quick else 3):
            for shape in SHAPES:
                for name in LOGS:
                    with told(f"{name}: {shape.title}"):
                        place = Path(folder, f"{name}-{shape.name}-{turn}")
                        committed = apart(_commit, place, name, shape, 1.0 if quick else 4.0)
                    figures = run.engines.setdefault(name, {})
                    _keep_best(figures, _figures(shape, committed), shape)
    report(run, [table(run.engines, _SECTIONS)], outcome)


def _commit(folder: Path, name: str, shape: Shape, seconds: float) -> Committed:
    """Nothing is read or removed meanwhile: a log forgets by unlinking, SQLite would have to write for it."""
    folder.mkdir()
    payloads = [os.urandom(shape.size) for _ in range(shape.records)]
    latencies = []
    before, device = Written.of(os.getpid()), Written.on_device(folder)
    # SQLite moves what its log still holds when it is closed.
    with closing(LOGS[name](folder)) as log:
        for _ in _until(time.perf_counter() + seconds):
            began = time.perf_counter()
            log.append(payloads)
            latencies.append((time.perf_counter() - began) * 1000)
    given = len(latencies) * shape.bytes
    dirtied = Written.of(os.getpid()).dirtied - before.dirtied
    return Committed(latencies, dirtied / given, (Written.on_device(folder) - device) / given)


def _until(deadline: float) -> Iterator[None]:
    while time.perf_counter() < deadline:
        yield


def _figures(shape: Shape, committed: Committed) -> Figures:
    p50, p99 = percentiles(committed.latencies)
    return {
        f"{shape.name}.p50": p50,
        f"{shape.name}.p99": p99,
        f"{shape.name}.max": max(committed.latencies),
        f"{shape.name}.mb": len(committed.latencies) * shape.bytes / sum(committed.latencies) / 1000,
        f"{shape.name}.dirtied": committed.dirtied,
        f"{shape.name}.device": committed.device,
    }


def _keep_best(kept: Figures, found: Figures, shape: Shape) -> None:
    """Of several turns the one with the most MB/s."""
    rate = f"{shape.name}.mb"
    if found[rate] > kept.get(rate, 0):
        kept.update(found)


_TIMES = ("p50", "p99", "max")
_SECTIONS = tuple(
    Section(
        f"A commit of {shape.title}",
        (
            Row("p50 / p99 / max, ms", "{:.2f} / {:.2f} / {:.1f}", tuple(f"{shape.name}.{of}" for of in _TIMES)),
            Row("MB/s of payload", "{:,.2f}", (f"{shape.name}.mb",)),
            Row("bytes written per byte of payload, by pages made dirty", "{:.2f}", (f"{shape.name}.dirtied",)),
            Row("  by the whole disk, journal and strangers included", "{:.2f}", (f"{shape.name}.device",)),
        ),
    )
    for shape in SHAPES
)


if __name__ == "__main__":
    main()
