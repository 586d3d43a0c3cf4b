"""Times for samples that came without one: those of a series each have their own, or one would correct the other."""

from __future__ import annotations

from threading import Lock

from service.ingest.moments import AHEAD
from service.ingest.rejections import Wrong

# Series that are remembered, and more only where they had a sample in this millisecond or a later one.
_KEPT = 10_000


class Arrivals:
    """One for a process; texts are read in a thread."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._room = _KEPT
        self._lock = Lock()

    def at(self, site: str, metric: str, labels: str, now: int) -> int:
        """`now` (epoch ms), or the millisecond after the last one that the series was given. Raises Wrong."""
        series = hash((site, metric, labels))  # two series with one hash take turns, which does no harm
        with self._lock:
            found = max(now, self._last.get(series, 0) + 1)
            if found > now + AHEAD:
                raise Wrong("at", "is required: the series has had more than one sample a millisecond for ten minutes")
            self._last[series] = found
            if len(self._last) > self._room:
                self._last = {one: last for one, last in self._last.items() if last >= now}
                self._room = _KEPT + 2 * len(self._last)
            return found
