"""The rollups' DDL, derived from the registry. `make schema` writes it to tests/golden/rollups.sql."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from clickhouse.rollups import (
    DIMENSION_SETS,
    DIMENSIONS,
    EVENTS,
    GRAINS,
    MEASURES,
    DimensionSet,
    Grain,
    Measure,
)

# The window counts (insert x partition) blocks per table: 10,000 survives thousands of batches between a try
# and its retry. Without it on *every* table a retried batch doubles each rollup that lacks it (measured).
DEDUPLICATION_WINDOW = 10_000

# Rows carry states of kilobytes; at the default 8,192 a 36-row answer reads 12,288 rows.
INDEX_GRANULARITY = 512

# A partition left alone this long (seconds) becomes one part. Reading states costs by the part: thirteen monthly
# totals took 25 ms from ten parts and 11 ms from two.
MERGE_AFTER = 60


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
    return [*map(_table, GRAINS), *map(_view, GRAINS)]


def _table(grain: Grain) -> Object:
    measures = ",\n    ".join(f"{m.name} {m.type}" for m in MEASURES)
    names = ", ".join(f"'{s.name}' = {s.id}" for s in DIMENSION_SETS)
    return Object(
        grain.table,
        f"""\
CREATE TABLE {grain.table}
(
    dimension_set Enum8({names}),
    site LowCardinality(String),
    country LowCardinality(String),
    author_id String,
    blog_id String,
    bucket DateTime('UTC'),
    {measures}
)
ENGINE = AggregatingMergeTree
PARTITION BY {grain.partition}
ORDER BY (site, dimension_set, bucket, country, author_id, blog_id)
SETTINGS
    index_granularity = {INDEX_GRANULARITY},
    non_replicated_deduplication_window = {DEDUPLICATION_WINDOW},
    min_age_to_force_merge_seconds = {MERGE_AFTER},
    min_age_to_force_merge_on_partition_only = 1""",
    )


def _view(grain: Grain) -> Object:
    select = _select_from_events(grain) if grain.source == EVENTS else _select_from_rollup(grain)
    return Object(grain.view, f"CREATE MATERIALIZED VIEW {grain.view} TO {grain.table} AS\n{select}", select)


def _select_from_events(grain: Grain) -> str:
    """One row of the batch becomes one per dimension set; the columns outside the set are emptied.

    Columns are qualified: an unqualified blog_id would resolve to the emptied alias, and every distinct
    count would be 1 without an error.
    """
    dimensions = ",\n    ".join(
        f"if({_among([s for s in DIMENSION_SETS if column in s.columns])}, e.{column}, '') AS {column}"
        for column in DIMENSIONS
    )
    measures = ",\n    ".join(f"{m.create.format(where=_carriers(m))} AS {m.name}" for m in MEASURES)
    sets = ", ".join(str(s.id) for s in DIMENSION_SETS)
    return f"""\
SELECT
    set_id AS dimension_set,
    e.site AS site,
    {dimensions},
    {grain.bucket.format("e.viewed_at")} AS bucket,
    {measures}
FROM {EVENTS} AS e
ARRAY JOIN CAST([{sets}], 'Array(Int8)') AS set_id
GROUP BY dimension_set, site, country, author_id, blog_id, bucket"""


def _select_from_rollup(grain: Grain) -> str:
    measures = ",\n    ".join(f"{m.combine.format('r.' + m.name)} AS {m.name}" for m in MEASURES)
    return f"""\
SELECT
    r.dimension_set AS dimension_set,
    r.site AS site,
    r.country AS country,
    r.author_id AS author_id,
    r.blog_id AS blog_id,
    {grain.bucket.format("r.bucket")} AS bucket,
    {measures}
FROM {grain.source} AS r
GROUP BY dimension_set, site, country, author_id, blog_id, bucket"""


def _carriers(measure: Measure) -> str:
    return _among([s for s in DIMENSION_SETS if s.name in measure.carried_by])


def _among(sets: list[DimensionSet]) -> str:
    return f"set_id IN ({', '.join(str(s.id) for s in sets)})"
