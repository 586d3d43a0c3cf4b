"""How a series goes, and when its samples are taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """`trend` is what an hour adds; `noise` the standard deviation, around 0."""

    trend: float = 0.1
    base: float = 5.0
    noise: float = 3.0
    seed: int = 42


@dataclass(frozen=True)
class Grid:
    """When samples are taken: from `start` (epoch seconds) on, one for each whole `step` (seconds) before `end`."""

    start: int
    end: int
    step: int

    def __len__(self) -> int:
        return max(0, self.end - self.start) // self.step
