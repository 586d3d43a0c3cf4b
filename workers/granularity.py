"""What users call the grains: an hour of views brings the finer ones that feed it, and those that cut the ends of local
days."""

from __future__ import annotations

from enum import StrEnum

from clickhouse import rollups
from clickhouse.shapes import Dataset, Grain


class Granularity(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


_OF_HOUR = frozenset({"quarter_hour", "six_hours"})


def granularity_of(grain: Grain) -> Granularity:
    return Granularity.HOUR if grain.name in _OF_HOUR else Granularity(grain.name)


def grains_of(dataset: Dataset, granularity: Granularity) -> tuple[Grain, ...]:
    """Fine to coarse; none: the dataset has no such grain."""
    return tuple(
        grain for grain in rollups.grains_of(dataset) if granularity in (granularity_of(grain), Granularity.ALL)
    )
