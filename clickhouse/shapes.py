"""What a registry of rollups is written in: datasets, dimension sets, measures, grains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

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
class Measure:
    """A number kept per rollup row, and how it is made, merged and read.

    `{}` in the SQL is the qualified column. Only additive measures may be summed over rows; the others hold
    states, or extremes, which merge but never add. A measure with a `key` column is not stored in dimension sets that
    contain that column: there, the keys themselves are counted.
    """

    name: str
    type: str
    additive: bool
    create: str
    """State from rows `e` of raw."""
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

    def kept(self, grain: Grain, of: DimensionSet) -> bool:
        return of.name in self.carried_by and grain.name in self.grains


@dataclass(frozen=True)
class Dataset:
    """What is counted: rows of a raw table by month of their time, which only grows but for mutations."""

    name: str
    raw: str
    """The raw table."""
    time: str
    """Its column of time, DateTime64(3, 'UTC')."""
    rows: str
    """Name of the measure that counts rows of raw; every dimension set carries it."""
    dimensions: tuple[str, ...]
    first: tuple[str, ...]
    """Those of the dimensions that a rollup is sorted by before its buckets; the others come after."""
    dimension_sets: tuple[DimensionSet, ...]
    """The order is the planner's preference: the first that serves a question has the fewest rows."""
    measures: tuple[Measure, ...]

    @property
    def whole(self) -> DimensionSet:
        """The set of the fewest rows; each grain has it."""
        return self.dimension_sets[0]


@dataclass(frozen=True)
class Feed:
    """One materialized view: which rows of a grain are made from which table. Rollups cascade."""

    source: str
    dimension_sets: tuple[DimensionSet, ...]


@dataclass(frozen=True)
class Grain:
    """One bucket width. All instants are epoch milliseconds, UTC."""

    dataset: Dataset
    name: str
    bucket: str
    """SQL for the bucket start in UTC; `{}` is the time column of the source."""
    months: int
    """How many months of buckets, by their starts, one partition holds: 1, or whole years."""
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
        return f"{self.dataset.name}_by_{self.name}"

    @property
    def partition(self) -> str:
        """SQL for the partition of a bucket."""
        if self.months == 1:
            return "toYYYYMM(bucket)"
        return "toYear(bucket)" if self.months == 12 else f"intDiv(toYear(bucket), {self.months // 12})"

    @property
    def source(self) -> str:
        """The table its totals are made from."""
        return next(feed.source for feed in self.feeds if self.dataset.whole in feed.dimension_sets)

    @property
    def from_raw(self) -> bool:
        """Whether its totals are made from raw."""
        return self.source == self.dataset.raw

    @property
    def dimension_sets(self) -> tuple[DimensionSet, ...]:
        return tuple(one for feed in self.feeds for one in feed.dimension_sets)

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(one for one in self.dataset.measures if self.name in one.grains)

    def ceiling(self, instant: int) -> int:
        """The first bucket start at or after an instant."""
        start = self.floor(instant)
        return start if start == instant else self.floor(start + self.longest)


def every(milliseconds: int, first: int = 0) -> Callable[[int], int]:
    """The floor of buckets that are all as long, one of which starts at `first`."""
    return lambda instant: instant - (instant - first) % milliseconds


def floor_month(instant: int) -> int:
    day = datetime.fromtimestamp(instant // 1000, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1000


def floor_year(instant: int) -> int:
    return int(datetime(datetime.fromtimestamp(instant // 1000, UTC).year, 1, 1, tzinfo=UTC).timestamp()) * 1000
