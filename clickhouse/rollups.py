"""The registry: which datasets there are, which grains, dimension sets and measures they have, and which grain holds
which sets.

Tables, materialized views, SELECTs and rebuilds are derived from the tuples here; a new grain, dimension set or measure
is one entry and a `make schema`. Why just these: docs/decisions/0008 (views) and 0017 (samples).
"""

from __future__ import annotations

from functools import partial

from clickhouse.shapes import (
    DAY,
    HOUR,
    MINUTE,
    Dataset,
    DimensionSet,
    Feed,
    Grain,
    Measure,
    every,
    floor_month,
    floor_year,
)

_MONDAY = 4 * DAY  # 1970-01-05

EVENTS = "view_events"

# Id 3 is spent.
TOTAL = DimensionSet(0, "total", frozenset())
COUNTRY = DimensionSet(1, "country", frozenset({"country"}))
AUTHOR = DimensionSet(2, "author", frozenset({"author_id"}))
AUTHOR_BLOG = DimensionSet(4, "author_blog", frozenset({"author_id", "blog_id"}))
COUNTRY_AUTHOR_BLOG = DimensionSet(5, "country_author_blog", frozenset({"country", "author_id", "blog_id"}))
DIMENSION_SETS = (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG, COUNTRY_AUTHOR_BLOG)

_ALL_GRAINS = frozenset({"quarter_hour", "hour", "six_hours", "day", "week", "month", "year"})

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

VIEWS = Dataset(
    name="views",
    raw=EVENTS,
    time="viewed_at",
    rows="views",
    dimensions=("country", "author_id", "blog_id"),
    first=(),
    dimension_sets=DIMENSION_SETS,
    measures=MEASURES,
)

# What grains of one width have in common, whatever they count. A partition of minutes is a month: of a sample a second
# a series has half a million of them a year.
_minute = partial(
    Grain, name="minute", bucket="toStartOfMinute({})", months=1, floor=every(MINUTE), shortest=MINUTE, longest=MINUTE
)
_quarter_hour = partial(
    Grain,
    name="quarter_hour",
    bucket="toStartOfFifteenMinutes({})",
    months=12,
    floor=every(15 * MINUTE),
    shortest=15 * MINUTE,
    longest=15 * MINUTE,
)
_hour = partial(
    Grain, name="hour", bucket="toStartOfHour({})", months=12, floor=every(HOUR), shortest=HOUR, longest=HOUR
)
_six_hours = partial(
    Grain,
    name="six_hours",
    bucket="toStartOfInterval({}, INTERVAL 6 HOUR)",
    months=12,
    floor=every(6 * HOUR),
    shortest=6 * HOUR,
    longest=6 * HOUR,
)
_day = partial(Grain, name="day", bucket="toStartOfDay({})", months=12, floor=every(DAY), shortest=DAY, longest=DAY)
_week = partial(
    Grain,
    name="week",
    bucket="toDateTime(toMonday({}), 'UTC')",
    months=12,
    floor=every(7 * DAY, _MONDAY),
    shortest=7 * DAY,
    longest=7 * DAY,
)
_month = partial(
    Grain,
    name="month",
    bucket="toDateTime(toStartOfMonth({}), 'UTC')",
    months=12,
    floor=floor_month,
    shortest=28 * DAY,
    longest=31 * DAY,
)
_year = partial(
    Grain,
    name="year",
    bucket="toDateTime(toStartOfYear({}), 'UTC')",
    months=120,
    floor=floor_year,
    shortest=365 * DAY,
    longest=366 * DAY,
)

# Fine to coarse. Weeks nest in nothing but days, so month is made from day, not from week.
GRAINS = (
    _quarter_hour(dataset=VIEWS, feeds=(Feed(EVENTS, (TOTAL,)),), granularity=32, by_hour_of_day=True),
    _hour(dataset=VIEWS, feeds=(Feed("views_by_quarter_hour", (TOTAL,)),), granularity=16, by_hour_of_day=True),
    # For local days: between 18:30 and 18:30 UTC lie three of these, five hours and four quarter hours; with hours
    # alone a year of Indian days took twice as long.
    _six_hours(dataset=VIEWS, feeds=(Feed("views_by_hour", (TOTAL,)),), granularity=64),
    _day(dataset=VIEWS, feeds=(Feed(EVENTS, (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)),)),
    _week(dataset=VIEWS, feeds=(Feed("views_by_day", (TOTAL, COUNTRY, AUTHOR)),)),
    _month(
        dataset=VIEWS,
        feeds=(Feed("views_by_day", (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)), Feed(EVENTS, (COUNTRY_AUTHOR_BLOG,))),
    ),
    _year(dataset=VIEWS, feeds=(Feed("views_by_month", (TOTAL, COUNTRY, AUTHOR, AUTHOR_BLOG)),), granularity=1024),
)


def measure(name: str) -> Measure:
    """The measure called `name`; KeyError for one that does not exist."""
    return _MEASURES[name]


_MEASURES = {m.name: m for m in MEASURES}


def sample_measure(name: str) -> Measure:
    """As `measure`, of samples."""
    return _SAMPLE_MEASURES[name]


SAMPLES = "samples"

METRIC = DimensionSet(0, "metric", frozenset({"metric"}))
SERIES = DimensionSet(1, "series", frozenset({"metric", "labels"}))
_SAMPLE_SETS = frozenset({"metric", "series"})

_SAMPLE_GRAINS = frozenset({"minute", "hour", "day", "week", "month", "year"})


def _of_samples(name: str, type_: str, create: str, combine: str, read: str, grains: frozenset[str]) -> Measure:
    additive = name in {"count", "sum"}
    return Measure(name, type_, additive, create, create, combine, read, _SAMPLE_SETS, grains)


# What a bucket says of its samples; avg is sum / count.
SAMPLE_MEASURES = (
    _of_samples(
        name="count",
        type_="SimpleAggregateFunction(sum, UInt64)",
        create="count()",
        combine="sum({})",
        read="sum({})",
        grains=_SAMPLE_GRAINS,
    ),
    _of_samples(
        name="sum",
        type_="SimpleAggregateFunction(sum, Float64)",
        create="sum(e.value)",
        combine="sum({})",
        read="sum({})",
        grains=_SAMPLE_GRAINS,
    ),
    _of_samples(
        name="min",
        type_="SimpleAggregateFunction(min, Float64)",
        create="min(e.value)",
        combine="min({})",
        read="min({})",
        grains=_SAMPLE_GRAINS,
    ),
    _of_samples(
        name="max",
        type_="SimpleAggregateFunction(max, Float64)",
        create="max(e.value)",
        combine="max({})",
        read="max({})",
        grains=_SAMPLE_GRAINS,
    ),
    _of_samples(
        name="last",
        type_="AggregateFunction(argMax, Float64, DateTime64(3, 'UTC'))",
        create="argMaxState(e.value, e.at)",
        combine="argMaxMergeState({})",
        read="argMaxMerge({})",
        grains=_SAMPLE_GRAINS,
    ),
    # A minute has few samples: there, raw is hardly more to read than sketches.
    _of_samples(
        name="quantiles",
        type_="AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Float64)",
        create="quantilesTDigestState(0.5, 0.95, 0.99)(e.value)",
        combine="quantilesTDigestMergeState(0.5, 0.95, 0.99)({})",
        read="quantilesTDigestMerge(0.5, 0.95, 0.99)({})",
        grains=_SAMPLE_GRAINS - {"minute"},
    ),
)

_SAMPLE_MEASURES = {m.name: m for m in SAMPLE_MEASURES}

# Kept nowhere: what raw alone answers needs no sketch, whose values are Float32. As numpy does it by default.
EXACT_QUANTILES = _of_samples(
    name="quantiles",
    type_="AggregateFunction(quantilesExactInclusive(0.5, 0.95, 0.99), Float64)",
    create="quantilesExactInclusiveState(0.5, 0.95, 0.99)(e.value)",
    combine="quantilesExactInclusiveMergeState(0.5, 0.95, 0.99)({})",
    read="quantilesExactInclusiveMerge(0.5, 0.95, 0.99)({})",
    grains=frozenset(),
)

OF_SAMPLES = Dataset(
    name="samples",
    raw=SAMPLES,
    time="at",
    rows="count",
    dimensions=("metric", "labels"),
    first=("metric",),
    dimension_sets=(METRIC, SERIES),
    measures=SAMPLE_MEASURES,
)

SAMPLE_GRAINS = (
    _minute(
        dataset=OF_SAMPLES,
        feeds=(Feed(SAMPLES, (METRIC, SERIES)),),
        # Minutes around local midnights, which no hour holds: of a year in Kolkata 0.8 M rows are read, 3.4 M at 8,192.
        granularity=1024,
    ),
    _hour(dataset=OF_SAMPLES, feeds=(Feed(SAMPLES, (METRIC, SERIES)),)),
    _day(dataset=OF_SAMPLES, feeds=(Feed("samples_by_hour", (METRIC, SERIES)),)),
    _week(dataset=OF_SAMPLES, feeds=(Feed("samples_by_day", (METRIC, SERIES)),)),
    _month(dataset=OF_SAMPLES, feeds=(Feed("samples_by_day", (METRIC, SERIES)),)),
    _year(dataset=OF_SAMPLES, feeds=(Feed("samples_by_month", (METRIC, SERIES)),)),
)

ALL_GRAINS = (*GRAINS, *SAMPLE_GRAINS)

DATASETS = (VIEWS, OF_SAMPLES)

# By table.
ROLLUPS = {grain.table: grain for grain in ALL_GRAINS}


def grains_of(dataset: Dataset) -> tuple[Grain, ...]:
    """Fine to coarse."""
    return tuple(grain for grain in ALL_GRAINS if grain.dataset is dataset)


def grain_called(dataset: Dataset, name: str) -> Grain:
    """KeyError for one that does not exist."""
    return _GRAINS[dataset.name, name]


def grain_of(table: str) -> Grain:
    """The one a rollup holds; KeyError for another table."""
    return ROLLUPS[table]


def dataset_called(name: str) -> Dataset:
    """KeyError for one that does not exist."""
    return _DATASETS[name]


_DATASETS = {dataset.name: dataset for dataset in DATASETS}
_GRAINS = {(grain.dataset.name, grain.name): grain for grain in ALL_GRAINS}
