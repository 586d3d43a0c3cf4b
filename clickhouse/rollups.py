"""The registry: which grains, dimension sets and measures exist, and which grain holds which sets.

Tables, materialized views, SELECTs and rebuilds are derived from the tuples at the end of this file; a new grain,
dimension set or measure is one line here and a `make schema`. Why just these: docs/decisions/0008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

EVENTS = "view_events"

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True)
class DimensionSet:
    """The columns a rollup row is grouped by, beside site and bucket. `id` is stored; never reuse one."""

    id: int
    name: str
    columns: frozenset[str]


@dataclass(frozen=True)
class Feed:
    """One materialized view: which rows of a grain are made from which table. Rollups cascade."""

    source: str
    dimension_sets: tuple[DimensionSet, ...]


@dataclass(frozen=True)
class Grain:
    """One bucket width. All instants are epoch milliseconds, UTC."""

    name: str
    bucket: str
    """SQL for the bucket start in UTC; `{}` is the time column of the source."""
    years: int
    """How many years of buckets, by their starts, one partition holds."""
    floor: Callable[[int], int]
    """The start of the bucket that holds an instant."""
    shortest: int
    """Milliseconds of the shortest bucket."""
    longest: int
    feeds: tuple[Feed, ...]
    granularity: int = 256
    """Rows an index mark stands for. States are kilobytes: at the default 8,192 a 36-row answer reads 12,288 rows."""
    by_hour_of_day: bool = False
    """Whether rows of one hour of the day lie together: local midnights of a zone need the same one every day."""

    @property
    def table(self) -> str:
        return f"views_by_{self.name}"

    @property
    def partition(self) -> str:
        """SQL for the partition of a bucket."""
        return "toYear(bucket)" if self.years == 1 else f"intDiv(toYear(bucket), {self.years})"

    @property
    def source(self) -> str:
        """The table its totals are made from."""
        return next(feed.source for feed in self.feeds if TOTAL in feed.dimension_sets)

    @property
    def dimension_sets(self) -> tuple[DimensionSet, ...]:
        return tuple(one for feed in self.feeds for one in feed.dimension_sets)

    def ceiling(self, instant: int) -> int:
        """The first bucket start at or after an instant."""
        start = self.floor(instant)
        return start if start == instant else self.floor(start + self.longest)


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
    """State from events `e`."""
    create_if: str
    """The same for the rows where `{where}` holds."""
    combine: str
    """State from states, for the cascade."""
    read: str
    """The final number from states."""
    carried_by: frozenset[str]
    """Names of the dimension sets that hold it."""
    grains: frozenset[str]
    """Names of the grains that hold it."""
    key: str | None = None
    standard_error: float = 0.0


def _every(milliseconds: int, first: int = 0) -> Callable[[int], int]:
    return lambda instant: instant - (instant - first) % milliseconds


def _floor_month(instant: int) -> int:
    day = datetime.fromtimestamp(instant // 1000, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1000


def _floor_year(instant: int) -> int:
    return int(datetime(datetime.fromtimestamp(instant // 1000, UTC).year, 1, 1, tzinfo=UTC).timestamp()) * 1000


# The order is the planner's preference: the first that serves a question has the fewest rows. Id 3 is spent.
TOTAL = DimensionSet(0, "total", frozenset())
COUNTRY = DimensionSet(1, "country", frozenset({"country"}))
AUTHOR = DimensionSet(2, "author", frozenset({"author_id"}))
AUTHOR_BLOG = DimensionSet(4, "author_blog", frozenset({"author_id", "blog_id"}))
COUNTRY_AUTHOR_BLOG = DimensionSet(5, "country_author_blog", frozenset({"country", "author_id", "blog_id"}))
DIMENSION_SETS = (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG, COUNTRY_AUTHOR_BLOG)

DIMENSIONS = ("country", "author_id", "blog_id")

_MONDAY = 4 * DAY  # 1970-01-05

# Fine to coarse. Weeks nest in nothing but days, so month is made from day, not from week.
GRAINS = (
    Grain(
        *("quarter_hour", "toStartOfFifteenMinutes({})", 1),
        *(_every(15 * MINUTE), 15 * MINUTE, 15 * MINUTE),
        (Feed(EVENTS, (TOTAL,)),),
        granularity=32,
        by_hour_of_day=True,
    ),
    Grain(
        *("hour", "toStartOfHour({})", 1),
        *(_every(HOUR), HOUR, HOUR),
        (Feed("views_by_quarter_hour", (TOTAL,)),),
        granularity=16,
        by_hour_of_day=True,
    ),
    # For local days: between 18:30 and 18:30 UTC lie three of these, five hours and four quarter hours; with hours
    # alone a year of Indian days took twice as long.
    Grain(
        *("six_hours", "toStartOfInterval({}, INTERVAL 6 HOUR)", 1),
        *(_every(6 * HOUR), 6 * HOUR, 6 * HOUR),
        (Feed("views_by_hour", (TOTAL,)),),
        granularity=64,
    ),
    Grain(
        *("day", "toStartOfDay({})", 1),
        *(_every(DAY), DAY, DAY),
        (Feed(EVENTS, (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)),),
    ),
    Grain(
        *("week", "toDateTime(toMonday({}), 'UTC')", 1),
        *(_every(7 * DAY, _MONDAY), 7 * DAY, 7 * DAY),
        (Feed("views_by_day", (TOTAL, COUNTRY, AUTHOR)),),
    ),
    Grain(
        *("month", "toDateTime(toStartOfMonth({}), 'UTC')", 1),
        *(_floor_month, 28 * DAY, 31 * DAY),
        (Feed("views_by_day", (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)), Feed(EVENTS, (COUNTRY_AUTHOR_BLOG,))),
    ),
    Grain(
        *("year", "toDateTime(toStartOfYear({}), 'UTC')", 10),
        *(_floor_year, 365 * DAY, 366 * DAY),
        (Feed("views_by_month", (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)),),
        granularity=1024,
    ),
)

_ALL_GRAINS = frozenset(grain.name for grain in GRAINS)

MEASURES = (
    Measure(
        name="views",
        type="SimpleAggregateFunction(sum, UInt64)",
        additive=True,
        create="count()",
        create_if="count()",
        combine="sum({})",
        read="sum({})",
        carried_by=frozenset(one.name for one in DIMENSION_SETS),
        grains=_ALL_GRAINS,
    ),
    # Bitmaps of the blogs' numbers (clickhouse/numbers.py) are exact, a third of the size of uniq states, and merge
    # 30 times faster: three years of days took 270 ms with uniq, 8 ms with bitmaps (docs/decisions/0008).
    Measure(
        name="blogs",
        type="AggregateFunction(groupBitmap, UInt32)",
        additive=False,
        create="groupBitmapState(e.blog_number)",
        create_if="groupBitmapStateIf(e.blog_number, {where})",
        combine="groupBitmapMergeState({})",
        read="groupBitmapMerge({})",
        carried_by=frozenset({"total", "country", "author"}),
        grains=_ALL_GRAINS,
        key="blog_id",
    ),
    # 12 kB at most and 0.8 % standard error (1.04/sqrt(2**14)). Below a day, and by author, the states would hold
    # nearly every event again: 145 MB for authors by day beside 900 MB of raw.
    Measure(
        name="viewers",
        type="AggregateFunction(uniqCombined64(14), UInt64)",
        additive=False,
        create="uniqCombined64State(14)(e.viewer)",
        create_if="uniqCombined64StateIf(14)(e.viewer, {where})",
        combine="uniqCombined64MergeState(14)({})",
        read="uniqCombined64Merge(14)({})",
        carried_by=frozenset({"total", "country"}),
        grains=frozenset({"day", "week", "month", "year"}),
        standard_error=0.0081,
    ),
)


def measure(name: str) -> Measure:
    """The measure called `name`; KeyError for one that does not exist."""
    return _MEASURES[name]


_MEASURES = {m.name: m for m in MEASURES}
