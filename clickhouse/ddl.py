"""The rollups' DDL, derived from the registry. `make schema` writes it to tests/golden/rollups.sql."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from clickhouse.rollups import ALL_GRAINS
from clickhouse.shapes import Dataset, DimensionSet, Feed, Grain, Measure
from clickhouse.spans import BUCKET, EVENT

# The window counts (insert x partition) blocks per table: 10,000 survives thousands of batches between a try
# and its retry. Without it on *every* table a retried batch doubles each rollup that lacks it (measured).
DEDUPLICATION_WINDOW = 10_000

# A partition left alone this long (seconds) becomes one part. Reading states costs by the part: thirteen monthly
# totals took 25 ms from ten parts and 11 ms from two.
MERGE_AFTER = 60

# Rows: a merged part keeps each column in a file of its own, where marks share compressed blocks; 15,000 keys are read
# in 5 ms instead of 7. What an insert brings stays in one file.
WIDE_FROM = 10_000

# 50 M events: the keys of author_blog by day take 0.8 bytes a row this way, and 3 years of its days 7 MB.
_KEY = "LowCardinality(String) CODEC(ZSTD(1))"


@dataclass(frozen=True)
class Object:
    """A table or view that `migrate` keeps in step with the registry."""

    name: str
    create: str
    select: str | None = None
    """The query of a materialized view; None for a table."""

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.create.encode()).hexdigest()[:16]


def rollup_objects() -> list[Object]:
    """All rollup tables, then their views, each after what it reads from."""
    return [*map(_table, ALL_GRAINS), *(_view(grain, feed) for grain in ALL_GRAINS for feed in grain.feeds)]


def fill(grain: Grain, table: str, of: DimensionSet, source: str) -> str:
    """An INSERT into a table of a grain's shape: what a dimension set holds of `[start, end)` (epoch ms, placeholders)
    of a source: of raw, or of a rollup with this set whose buckets nest in the grain's, as its own do.

    One set at a time, with the measures it carries: all sets in one statement, as the views have them, make each state
    for each row, which took 1.9 s of CPU for 1.5 M events of a month by day, and took 1.3 s this way.
    """
    dataset = grain.dataset
    measures = [m for m in grain.measures if of.name in m.carried_by]
    if source == dataset.raw:
        where = f"e.{dataset.time} >= {EVENT.format('start')} AND e.{dataset.time} < {EVENT.format('end')}"
        select = _select_one_set(grain, of, f"\nWHERE {where}", source)
    else:
        where = f"e.bucket >= {BUCKET.format('start')} AND e.bucket < {BUCKET.format('end')}"
        select = _select_one_set(grain, of, f"\nWHERE e.dimension_set = '{of.name}' AND {where}", source)
    dimensions = [column for column in dataset.dimensions if column in of.columns]
    columns = ", ".join(["dimension_set", "site", *dimensions, "bucket", *(m.name for m in measures)])
    return f"INSERT INTO {table} ({columns})\n{select}"


def _table(grain: Grain) -> Object:
    dataset = grain.dataset
    dimensions = "\n".join(f"    {column} {_KEY}," for column in dataset.dimensions)
    measures = ",\n    ".join(f"{m.name} {m.type} CODEC(ZSTD(1))" for m in grain.measures)
    names = ", ".join(f"'{s.name}' = {s.id}" for s in dataset.dimension_sets)
    time = "toHour(bucket), bucket" if grain.by_hour_of_day else "bucket"
    after = (column for column in dataset.dimensions if column not in dataset.first)
    key = ", ".join(["site", "dimension_set", *dataset.first, time, *after])
    return Object(
        grain.table,
        f"""\
CREATE TABLE {grain.table}
(
    dimension_set Enum8({names}),
    site {_KEY},
{dimensions}
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    {measures}
)
ENGINE = AggregatingMergeTree
PARTITION BY {grain.partition}
ORDER BY ({key})
SETTINGS
    index_granularity = {grain.granularity},
    min_rows_for_wide_part = {WIDE_FROM},
    non_replicated_deduplication_window = {DEDUPLICATION_WINDOW},
    min_age_to_force_merge_seconds = {MERGE_AFTER},
    min_age_to_force_merge_on_partition_only = 1""",
    )


def _view(grain: Grain, feed: Feed) -> Object:
    short = feed.source.removeprefix(f"{grain.dataset.name}_by_").removeprefix("view_")
    name = f"{grain.table}_from_{short}"
    if feed.source == grain.dataset.raw:
        select = _select_from_raw(grain, feed.dimension_sets)
    else:
        select = _select_from_rollup(grain, feed)
    return Object(name, f"CREATE MATERIALIZED VIEW {name} TO {grain.table} AS\n{select}", select)


def _select_from_raw(grain: Grain, sets: tuple[DimensionSet, ...]) -> str:
    """One row becomes one per dimension set; the columns outside the set are emptied.

    Columns are qualified: an unqualified blog_id would resolve to the emptied alias, and every distinct
    count would be 1 without an error.
    """
    dataset = grain.dataset
    if len(sets) == 1:
        return _select_one_set(grain, sets[0], "", dataset.raw)
    dimensions = ",\n    ".join(
        f"if({_among(s for s in sets if column in s.columns)}, e.{column}, '') AS {column}"
        for column in dataset.dimensions
    )
    measures = ",\n    ".join(f"{_create(m, sets)} AS {m.name}" for m in grain.measures)
    return f"""\
SELECT
    set_id AS dimension_set,
    e.site AS site,
    {dimensions},
    {grain.bucket.format(f"e.{dataset.time}")} AS bucket,
    {measures}
FROM {dataset.raw} AS e
ARRAY JOIN CAST([{", ".join(str(s.id) for s in sets)}], 'Array(Int8)') AS set_id
GROUP BY {_keys(dataset)}"""


def _keys(dataset: Dataset) -> str:
    return ", ".join(["dimension_set", "site", *dataset.dimensions, "bucket"])


def _select_one_set(grain: Grain, of: DimensionSet, condition: str, source: str) -> str:
    columns = [column for column in grain.dataset.dimensions if column in of.columns]
    dimensions = "".join(f"    e.{column} AS {column},\n" for column in columns)
    raw = source == grain.dataset.raw
    measures = ",\n    ".join(
        f"{m.create if raw else m.combine.format('e.' + m.name)} AS {m.name}"
        for m in grain.measures
        if of.name in m.carried_by
    )
    return f"""\
SELECT
    '{of.name}' AS dimension_set,
    e.site AS site,
{dimensions}    {grain.bucket.format(f"e.{grain.dataset.time}" if raw else "e.bucket")} AS bucket,
    {measures}
FROM {source} AS e{condition}
GROUP BY {", ".join(["site", *columns, "bucket"])}"""


def _select_from_rollup(grain: Grain, feed: Feed) -> str:
    dimensions = "\n".join(f"    r.{column} AS {column}," for column in grain.dataset.dimensions)
    measures = ",\n    ".join(f"{m.combine.format('r.' + m.name)} AS {m.name}" for m in grain.measures)
    sets = ", ".join(f"'{s.name}'" for s in feed.dimension_sets)
    return f"""\
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
{dimensions}
    {grain.bucket.format("r.bucket")} AS bucket,
    {measures}
FROM {feed.source} AS r
WHERE r.dimension_set IN ({sets})
GROUP BY {_keys(grain.dataset)}"""


def _create(measure: Measure, sets: tuple[DimensionSet, ...]) -> str:
    return measure.create_if.format(where=_among(s for s in sets if s.name in measure.carried_by))


def _among(sets: Iterable[DimensionSet]) -> str:
    """An impossible id where there is none: `IN ()` is no SQL."""
    return f"set_id IN ({', '.join(str(s.id) for s in sets) or '-1'})"
