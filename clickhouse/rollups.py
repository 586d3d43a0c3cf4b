"""The registry: which grains, dimension sets and measures exist.

Tables, materialized views, SELECTs and (later) rebuilds are derived from the three tuples at the end of
this file; a new grain, dimension set or measure is one line here and a `make schema`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EVENTS = "view_events"


@dataclass(frozen=True)
class Grain:
    """One bucket width. `source` is the table its rows are made from: rollups cascade.

    Measured on chDB 26.9, 5 grains x 5 dimension sets: 50,000-row batches of recent events insert at
    152k events/s cascaded, 90-103k/s with every view reading the raw block (docs/decisions/0003).
    """

    name: str
    source: str
    bucket: str
    """SQL for the bucket start in UTC; `{}` is the time column of the source."""
    partition: str
    floor: Callable[[datetime], datetime]
    """The start of the bucket that holds an instant; takes and returns aware UTC."""

    @property
    def table(self) -> str:
        return f"views_by_{self.name}"

    @property
    def view(self) -> str:
        return f"{self.table}_mv"

    def aligned(self, instant: datetime) -> bool:
        """Whether a bucket of this grain starts exactly at `instant` (aware UTC)."""
        return self.floor(instant) == instant


@dataclass(frozen=True)
class DimensionSet:
    """The columns a rollup row is grouped by, beside site and bucket. `id` is stored; never reuse one."""

    id: int
    name: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Measure:
    """A number kept per rollup row, and how it is made, merged and read.

    `{}` in the SQL is the qualified column. Only additive measures may be summed over rows; the others hold
    states of distinct values, which merge but never add. A measure with a `key` column is not stored in
    dimension sets that contain that column: there, the keys themselves are counted.
    """

    name: str
    type: str
    additive: bool
    create: str
    """State from events; `{where}` is the condition 'this dimension set carries me'."""
    combine: str
    """State from states, for the cascade."""
    read: str
    """The final number from states."""
    carried_by: frozenset[str]
    key: str | None = None


def _floor_hour(t: datetime) -> datetime:
    return t.replace(minute=0, second=0, microsecond=0)


def _floor_day(t: datetime) -> datetime:
    return t.replace(hour=0, minute=0, second=0, microsecond=0)


def _floor_week(t: datetime) -> datetime:
    return _floor_day(t) - timedelta(days=t.weekday())


def _floor_month(t: datetime) -> datetime:
    return _floor_day(t).replace(day=1)


def _floor_year(t: datetime) -> datetime:
    return datetime(t.year, 1, 1, tzinfo=UTC)


# Fine to coarse. Weeks nest in nothing but days, so month is made from day, not from week.
GRAINS = (
    Grain("hour", EVENTS, "toStartOfHour({})", "toYYYYMM(bucket)", _floor_hour),
    Grain("day", "views_by_hour", "toStartOfDay({})", "toYear(bucket)", _floor_day),
    Grain("week", "views_by_day", "toDateTime(toMonday({}), 'UTC')", "toYear(bucket)", _floor_week),
    Grain("month", "views_by_day", "toDateTime(toStartOfMonth({}), 'UTC')", "toYear(bucket)", _floor_month),
    Grain("year", "views_by_month", "toDateTime(toStartOfYear({}), 'UTC')", "toYear(bucket)", _floor_year),
)

# The order is the planner's preference: the first that serves a question has the fewest rows.
DIMENSION_SETS = (
    DimensionSet(0, "total", frozenset()),
    DimensionSet(1, "country", frozenset({"country"})),
    DimensionSet(2, "author", frozenset({"author_id"})),
    DimensionSet(3, "country_author", frozenset({"country", "author_id"})),
    DimensionSet(4, "author_blog", frozenset({"author_id", "blog_id"})),
)

DIMENSIONS = ("country", "author_id", "blog_id")

MEASURES = (
    Measure(
        name="views",
        type="SimpleAggregateFunction(sum, UInt64)",
        additive=True,
        create="count()",
        combine="sum({})",
        read="sum({})",
        carried_by=frozenset(s.name for s in DIMENSION_SETS),
    ),
    # uniq is exact up to 65,536 values and costs 4 bytes a value below that.
    Measure(
        name="blogs",
        type="AggregateFunction(uniq, String)",
        additive=False,
        create="uniqStateIf(e.blog_id, {where})",
        combine="uniqMergeState({})",
        read="uniqMerge({})",
        carried_by=frozenset({"total", "country", "author", "country_author"}),
        key="blog_id",
    ),
    # 12 kB at most and 0.8 % standard error (1.04/sqrt(2**14)); a uniq state of 100k viewers is 200 kB.
    Measure(
        name="viewers",
        type="AggregateFunction(uniqCombined64(14), UInt64)",
        additive=False,
        create="uniqCombined64StateIf(14)(e.viewer, {where})",
        combine="uniqCombined64MergeState(14)({})",
        read="uniqCombined64Merge(14)({})",
        carried_by=frozenset({"total", "country", "author", "author_blog"}),
    ),
)


def measure(name: str) -> Measure:
    """The measure called `name`; KeyError for one that does not exist."""
    return _MEASURES[name]


_MEASURES = {m.name: m for m in MEASURES}
