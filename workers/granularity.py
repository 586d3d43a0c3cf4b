"""What users call the grains: an hour brings the finer ones that feed it, and those that cut the ends of local days."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from clickhouse.rollups import GRAINS, Grain


class Granularity(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


_OF_HOUR = frozenset({"quarter_hour", "hour", "six_hours"})

GRANULARITY_OF: Mapping[str, Granularity] = {
    grain.name: Granularity.HOUR if grain.name in _OF_HOUR else Granularity(grain.name) for grain in GRAINS
}
"""By the grain's name."""


def grains_of(granularity: Granularity) -> tuple[Grain, ...]:
    """Fine to coarse."""
    return tuple(grain for grain in GRAINS if granularity in (GRANULARITY_OF[grain.name], Granularity.ALL))
