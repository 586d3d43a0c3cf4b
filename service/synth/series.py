"""What a synthetic series is worth: a straight line, a day's ups and downs, and noise.

    value(i) = base + trend · (t_i - t_0) / 1 h + season(time of day of t_i, UTC) + noise_i

The season goes through fixed points by a monotone cubic (Fritsch and Butland, "A method for constructing local monotone
piecewise cubic interpolants", 1984, as PCHIP has it for equal distances), closed over midnight. The noise depends on a
sample's number alone, so series of one seed have the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service.synth.shapes import Grid, Shape

Floats = NDArray[np.float64]

_HOUR = 3_600
_DAY = 24 * _HOUR

# Every two hours from midnight.
_SEASON = np.array([1.0, 10.8, 18.1, 19.5, 17.6, 15.8, 14.1, 12.8, 10.3, 8.7, 3.6, 1.8])
_WIDTH = _DAY // len(_SEASON)

# Samples made at a time: 2 MB of floats, whatever the length of the series.
_CHUNK = 65_536


def samples(shape: Shape, grid: Grid) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Instants (epoch seconds) and their values, in order and in pieces of bounded size."""
    # The generator that series of the replaced script came from; numpy keeps its stream as it is.
    noise = np.random.RandomState(shape.seed)
    for first in range(0, len(grid), _CHUNK):
        numbers = np.arange(first, min(first + _CHUNK, len(grid)), dtype=np.int64)
        elapsed = numbers * grid.step
        instants = grid.start + elapsed
        trend = shape.base + shape.trend * (elapsed / _HOUR)
        yield instants, trend + season(instants) + noise.normal(0.0, shape.noise, len(numbers))


def season(instants: NDArray[np.int64]) -> Floats:
    """What the time of day adds, UTC; `instants` in epoch seconds."""
    of_day = instants % _DAY
    left = of_day // _WIDTH
    right = (left + 1) % len(_SEASON)
    # Cubic Hermite: where between the points, from 0 to 1; slopes are per width.
    t = (of_day - left * _WIDTH) / _WIDTH
    from_left = _SEASON[left] * (1 + 2 * t) * (1 - t) ** 2 + _SLOPES[left] * t * (1 - t) ** 2
    result: Floats = from_left + _SEASON[right] * t**2 * (3 - 2 * t) + _SLOPES[right] * t**2 * (t - 1)
    return result


def _slopes() -> Floats:
    """At each point the harmonic mean of the secants beside it; 0 where they differ in sign: a peak or a trough."""
    after = np.roll(_SEASON, -1) - _SEASON
    before = np.roll(after, 1)
    product = after * before
    together = np.where(product > 0, after + before, 1.0)
    return np.where(product > 0, 2 * product / together, 0.0)


_SLOPES = _slopes()
