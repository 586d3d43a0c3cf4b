"""What runs when, and which time it is about: a calendar alone, all of it UTC. Instants are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clickhouse.rollups import GRAINS
from clickhouse.shapes import DAY, HOUR, MINUTE, Grain
from clickhouse.spans import Span
from workers.jobs.job import Kind

_GRAINS = {grain.name: grain for grain in GRAINS}


@dataclass(frozen=True)
class Schedule:
    """A job that is due once in every period of `every`, so long after the period began.

    A run is about the period before the one it is due in. So the run of 1 January at 00:35 is about December, and the
    run of a Sunday about the ISO week that ended six days before: the one it stands in ends at midnight only.
    """

    name: str
    what: str
    when: str
    kind: Kind
    every: Grain
    after: int
    """Milliseconds from the period's start until the run is due."""
    reach: int
    """How many missed periods are caught up at most."""

    def due(self, now: int) -> int:
        """The instant of the last run that should have been, at or before now."""
        return self.every.floor(now - self.after) + self.after

    def following(self, now: int) -> int:
        """The first one after now."""
        return self.every.ceiling(now - self.after + 1) + self.after

    def period(self, now: int) -> Span:
        """What the last run that should have been is about."""
        end = self.every.floor(now - self.after)
        return Span(self.every.floor(end - 1), end)

    def missed(self, until: int, now: int) -> Span | None:
        """From where the last run left off, at most `reach` periods back, to the end of the last period that should
        be done; None: that was done."""
        first, end = self.period(now)
        if until >= end:
            return None
        for _ in range(self.reach - 1):
            if first <= until:
                break
            first = self.every.floor(first - 1)
        return Span(first, end)


# Behind each other, so that those of a night, a month and a year do not begin at once; and some minutes after the
# hour, when most of what was viewed before it has come in.
_ALL = (
    Schedule(
        *("hourly", "reconciles the hour before", "every hour at :05", Kind.RECONCILE),
        *(_GRAINS["hour"], 5 * MINUTE),
        reach=72,
    ),
    Schedule(
        *("daily", "reconciles the day before", "every day at 00:15", Kind.RECONCILE),
        *(_GRAINS["day"], 15 * MINUTE),
        reach=31,
    ),
    Schedule(
        *("weekly", "reconciles the last closed ISO week", "Sundays at 00:25"),
        *(Kind.RECONCILE, _GRAINS["week"], 6 * DAY + 25 * MINUTE),
        reach=8,
    ),
    Schedule(
        *("monthly", "reconciles the month before", "the 1st at 00:35", Kind.RECONCILE),
        *(_GRAINS["month"], 35 * MINUTE),
        reach=12,
    ),
    Schedule(
        *("yearly", "reconciles the year before", "1 January at 00:45", Kind.RECONCILE),
        *(_GRAINS["year"], 45 * MINUTE),
        reach=3,
    ),
    Schedule(
        *("retention", "drops events past their retention", "every day at 01:15", Kind.RETENTION),
        *(_GRAINS["day"], HOUR + 15 * MINUTE),
        reach=1,
    ),
    Schedule(
        *("compaction", "merges closed months of raw", "Sundays at 02:15", Kind.COMPACTION),
        *(_GRAINS["week"], 6 * DAY + 2 * HOUR + 15 * MINUTE),
        reach=1,
    ),
)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType({one.name: one for one in _ALL})
