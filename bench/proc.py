"""What Linux knows about a process: CPU seconds of it and of its main thread, bytes written, memory, descendants."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cpu:
    """CPU seconds since the start, user and system; `main` is the main thread's part (the event loop's)."""

    total: float
    main: float

    @classmethod
    def of(cls, pid: int) -> Cpu:
        return cls(_seconds(Path(f"/proc/{pid}/stat")), _seconds(Path(f"/proc/{pid}/task/{pid}/stat")))

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.total - other.total, self.main - other.main)


def _seconds(stat: Path) -> float:
    # The name in parentheses may hold spaces; utime and stime are fields 14 and 15, counted from 1.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


@dataclass(frozen=True)
class Written:
    """Bytes since the start: of pages made dirty, and of those among them whose file went before they were written."""

    dirtied: int
    undone: int

    @classmethod
    def of(cls, pid: int) -> Written:
        lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        return cls(int(lines["write_bytes"]), int(lines["cancelled_write_bytes"]))

    @staticmethod
    def on_device(folder: Path) -> int:
        """Bytes written since boot, by anyone, to the disk that holds the folder."""
        device = folder.stat().st_dev
        stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
        # In sectors of 512 bytes; 0 where the folder is on no disk.
        return int(stat.read_text().split()[6]) * 512 if stat.exists() else 0


def rss_mb(pid: int) -> float:
    """Resident memory in MB (10^6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(kib) * 1024 / 1e6


def descendants(pid: int) -> list[int]:
    """Children, their children and so on; empty for a process that is gone."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def settle(*pids: int, seconds: float) -> None:
    """Returns when the processes use less than a tenth of a core (merges are over), or after `seconds`."""
    deadline = time.monotonic() + seconds
    before = sum(Cpu.of(pid).total for pid in pids)
    while time.monotonic() < deadline:
        time.sleep(0.4)
        now = sum(Cpu.of(pid).total for pid in pids)
        if now - before < 0.04:
            return
        before = now
