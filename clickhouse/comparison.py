"""A rollup's buckets beside what they were made from: how many rows of raw they count, and what else they say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from clickhouse.engine import Engine
from clickhouse.partitions import Partition
from clickhouse.rollups import EVENTS, VIEWS, measure
from clickhouse.sample_comparison import wrong_numbers
from clickhouse.shapes import DAY, DimensionSet, Grain
from clickhouse.spans import BUCKET, EVENT, MOST, Span, bound, merged, months_of, within
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Bucket:
    """`expected` and `found` are rows of raw (views, samples) of all sites. `off`: those missing or too many, added up
    over sites and dimension sets. `distinct`: rows of the rollup whose set of blogs is another one; of samples, whose
    numbers are others."""

    expected: int
    found: int
    off: int
    distinct: int

    @property
    def wrong(self) -> bool:
        return bool(self.off or self.distinct)


async def buckets(engine: Engine, partition: Partition, spans: Sequence[Span], source: str) -> dict[int, Bucket]:
    """By start (epoch ms): the buckets that lie in whole buckets `spans` of a partition and hold, or should hold,
    anything. `source` (raw, or the rollup it is made from) is what they are held against.

    Sets of blogs are compared as bitmaps, not by their size, and with those of each country and author: a count that
    is right by chance is found wrong. Of raw that takes 1.5 s a million events (three dimension sets of days), of
    another rollup next to nothing.
    """
    found: dict[int, Bucket] = {}
    for asked in _pieces(partition.grain, source, spans):
        values = {"partition": partition.id, **bound(asked)}
        whole = partition.grain.dataset.whole.id
        counted = _ROWS.format(sides=rows_by_set(partition.grain, source, asked), whole=whole)
        rows = await engine.select(Statement(counted, values))
        others = _distinct if partition.grain.dataset is VIEWS else wrong_numbers
        wrong = await engine.select(Statement(others(partition.grain, source, asked), values))
        distinct = {row[0]: row[1] for row in wrong}
        found |= {row[0]: Bucket(row[1], row[2], row[3], distinct.pop(row[0], 0)) for row in rows}
        # Blogs of a bucket that nobody says to have a view.
        found |= {bucket: Bucket(0, 0, 0, several) for bucket, several in distinct.items()}
    return found


def rows_by_set(grain: Grain, source: str, spans: Sequence[Span], table: str | None = None) -> str:
    """SQL: rows of raw as they should be (`expected`) and are (`found`), by site, dimension set and bucket of a
    partition. `table` stands in for the grain's own."""
    rows = f"sum(r.{grain.dataset.rows})"
    return f"""\
    SELECT site, set_id, bucket, sum(made) AS expected, sum(held) AS found
    FROM
    (
        SELECT r.site AS site, toInt8(r.dimension_set) AS set_id, r.bucket AS bucket, 0 AS made, {rows} AS held
        FROM {table or grain.table} AS r
        WHERE r._partition_id = {{partition:String}} AND {within("r.bucket", BUCKET, spans)}
        GROUP BY site, set_id, bucket
        UNION ALL
        SELECT site, arrayJoin(CAST([{_ids(grain.dimension_sets)}], 'Array(Int8)')) AS set_id, bucket, made, 0 AS held
        FROM
        (
{_expected(grain, source, spans)}
        )
    )
    GROUP BY site, set_id, bucket"""


_ROWS = """\
SELECT
    toInt64(toUnixTimestamp(bucket)) * 1000,
    sumIf(expected, set_id = {whole}),
    sumIf(found, set_id = {whole}),
    sum(abs(toInt64(expected) - toInt64(found)))
FROM
(
{sides}
)
GROUP BY bucket"""


def _expected(grain: Grain, source: str, spans: Sequence[Span]) -> str:
    """Rows of raw by site and bucket as they should be."""
    dataset = grain.dataset
    if source == dataset.raw:
        time, rows = f"e.{dataset.time}", "count()"
        condition = within(time, EVENT, spans)
    else:
        time, rows = "e.bucket", f"sum(e.{dataset.rows})"
        condition = f"e.dimension_set = '{dataset.whole.name}' AND {within('e.bucket', BUCKET, spans)}"
    return f"""\
            SELECT e.site AS site, {grain.bucket.format(time)} AS bucket, {rows} AS made
            FROM {source} AS e
            WHERE {condition}
            GROUP BY site, bucket"""


def _distinct(grain: Grain, source: str, spans: Sequence[Span]) -> str:
    sets = [one for one in grain.dimension_sets if one.name in measure("blogs").carried_by]
    made = _from_events(grain, sets, spans) if source == EVENTS else _from_rollup(grain, source, sets, spans)
    return f"""\
SELECT toInt64(toUnixTimestamp(bucket)) * 1000, count()
FROM
(
    SELECT
        bucket,
        groupBitmapMergeStateIf(blogs, made) AS expected,
        groupBitmapMergeStateIf(blogs, NOT made) AS found
    FROM
    (
        SELECT
            0 AS made,
            r.site AS site, toInt8(r.dimension_set) AS set_id, r.country AS country, r.author_id AS author_id,
            r.bucket AS bucket, r.blogs AS blogs
        FROM {grain.table} AS r
        WHERE r._partition_id = {{partition:String}}
          AND toInt8(r.dimension_set) IN ({_ids(sets)})
          AND {within("r.bucket", BUCKET, spans)}
        UNION ALL
{made}
    )
    GROUP BY site, set_id, country, author_id, bucket
    HAVING bitmapXorCardinality(expected, found) != 0
)
GROUP BY bucket"""


def _from_events(grain: Grain, sets: Sequence[DimensionSet], spans: Sequence[Span]) -> str:
    columns = ", ".join(
        f"if(set_id IN ({_ids(one for one in sets if column in one.columns) or -1}), e.{column}, '') AS {column}"
        for column in ("country", "author_id")
    )
    return f"""\
        SELECT
            1 AS made, e.site AS site, set_id, {columns},
            {grain.bucket.format("e.viewed_at")} AS bucket, groupBitmapState(e.blog_number) AS blogs
        FROM {EVENTS} AS e
        ARRAY JOIN CAST([{_ids(sets)}], 'Array(Int8)') AS set_id
        WHERE {within("e.viewed_at", EVENT, spans)}
        GROUP BY site, set_id, country, author_id, bucket"""


def _from_rollup(grain: Grain, source: str, sets: Sequence[DimensionSet], spans: Sequence[Span]) -> str:
    return f"""\
        SELECT
            1 AS made,
            e.site AS site, toInt8(e.dimension_set) AS set_id, e.country AS country, e.author_id AS author_id,
            {grain.bucket.format("e.bucket")} AS bucket, e.blogs AS blogs
        FROM {source} AS e
        WHERE toInt8(e.dimension_set) IN ({_ids(sets)}) AND {within("e.bucket", BUCKET, spans)}"""


def _ids(sets: Iterable[DimensionSet]) -> str:
    return ", ".join(str(one.id) for one in sets)


def _pieces(grain: Grain, source: str, spans: Sequence[Span]) -> list[list[Span]]:
    """What one statement is asked about. Months nest in days: raw is read one at a time, for the memory it takes."""
    asked = merged(spans, MOST)
    if source != grain.dataset.raw or grain.longest > DAY:
        return [asked]
    return [[month] for month in chain.from_iterable(map(months_of, asked))]
