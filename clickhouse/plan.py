"""Which table answers a question: pure, and exact or raw.

One segment a question for now: the coarsest grain whose buckets nest in everything asked. Splitting a range
over several grains comes with the planner's own issue; `plan` is where it will happen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from clickhouse.periods import Interval
from clickhouse.question import Distinct, Question
from clickhouse.rollups import DIMENSION_SETS, EVENTS, GRAINS, DimensionSet, Grain, measure


@dataclass(frozen=True)
class Segment:
    """The table that answers; raw events have neither grain nor dimension set."""

    grain: Grain | None = None
    dimension_set: DimensionSet | None = None

    @property
    def table(self) -> str:
        return self.grain.table if self.grain else EVENTS


RAW = Segment()


def plan(question: Question) -> Segment:
    """The fewest rows that answer `question` exactly: smallest dimension set, coarsest grain, else raw."""
    dimension_set = smallest_dimension_set(question)
    grain = coarsest_grain(question)
    if dimension_set is None or grain is None:
        return RAW
    return Segment(grain, dimension_set)


def plan_bounds(question: Question, interval: Interval, zone: ZoneInfo) -> Segment:
    """Where to look for the first and the last period with views: buckets that nest in the asked ones, else raw.

    The borders are not known yet, so only UTC, in which every grain is kept, is sure to nest.
    """
    dimension_set = smallest_dimension_set(question)
    if dimension_set is None or zone.key not in _UTC:
        return RAW
    for grain in _nesting(interval):
        if all(grain.aligned(end) for end in (question.start, question.end) if end is not None):
            return Segment(grain, dimension_set)
    return RAW


_UTC = frozenset({"UTC", "Etc/UTC", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal", "Etc/Universal"})


def _nesting(interval: Interval) -> Iterator[Grain]:
    """Grains whose buckets nest in the interval, coarsest first: those its own grain is made from."""
    tables = {grain.table: grain for grain in GRAINS}
    grain = tables.get(f"views_by_{interval}")
    while grain is not None:
        yield grain
        grain = tables.get(grain.source)


def smallest_dimension_set(question: Question) -> DimensionSet | None:
    """The first dimension set that has every column asked for and can count distinct blogs as asked."""
    needed = question.filters.columns | ({question.group.column} if question.group else set())
    for candidate in DIMENSION_SETS:
        if needed <= candidate.columns and _counts_blogs(candidate, question.distinct):
            return candidate
    return None


def coarsest_grain(question: Question) -> Grain | None:
    """The coarsest grain of which no bucket straddles an end of the range or a border between two periods."""
    borders = {*question.edges, *filter(None, (question.start, question.end))}
    for grain in reversed(GRAINS):
        if all(grain.aligned(border) for border in borders):
            return grain
    return None


def _counts_blogs(dimension_set: DimensionSet, distinct: Distinct) -> bool:
    blogs = measure("blogs")
    by_key = blogs.key in dimension_set.columns
    return by_key or (distinct is Distinct.APPROX and dimension_set.name in blogs.carried_by)
