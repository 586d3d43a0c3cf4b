"""A series to be made up: all that is said of it, and its samples as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from service.synth.shapes import Grid, Shape


@dataclass(frozen=True)
class Made:
    metric: str
    labels: dict[str, str]
    description: str
    shape: Shape
    grid: Grid

    def __len__(self) -> int:
        return len(self.grid)

    def batches(self, size: int) -> Iterator[list[tuple[int, float]]]:
        """All samples, (epoch seconds, value), in order, at most `size` at a time."""
        # It loads numpy, which takes 0.1 s and 25 MB; the service and the other commands do without.
        from service.synth.series import samples

        for instants, values in samples(self.shape, self.grid):
            piece = [*zip(instants.tolist(), values.tolist(), strict=True)]
            for start in range(0, len(piece), size):
                yield piece[start : start + size]
