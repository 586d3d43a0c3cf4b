"""Where rollups say something else than raw: rows lost, doubled, or that are not there.

A bucket counts as many rows in every dimension set as raw has, so one count of raw by site and bucket is what all
sets are held against. Raw only ever grows and each event enters a set with one view: what lost or doubled a batch shows
here, whatever else it spoilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clickhouse.comparison import rows_by_set
from clickhouse.engine import Engine
from clickhouse.origins import Origin
from clickhouse.partitions import Partition, by_partition, whole_buckets
from clickhouse.retention import watermark
from clickhouse.rollups import grains_of
from clickhouse.shapes import Dataset, Grain
from clickhouse.spans import BUCKET, MOST, Span, bound, merged, month_of, within
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Drift:
    """What is wrong with a partition. `buckets` are starts (epoch ms), ascending; `expected` and `found` are views,
    added up over all sites and dimension sets that are wrong there."""

    partition: Partition
    buckets: tuple[int, ...]
    expected: int
    found: int

    @property
    def spans(self) -> list[Span]:
        ceiling = self.partition.grain.ceiling
        return merged(Span(bucket, ceiling(bucket + 1)) for bucket in self.buckets)

    def __str__(self) -> str:
        return (
            f"{self.partition}: {self.found} views instead of {self.expected} in {len(self.buckets)} buckets"
            f" from {self.buckets[0]} to {self.buckets[-1]}"
        )


async def drift(engine: Engine, dataset: Dataset, spans: Sequence[Span]) -> list[Drift]:
    """What is wrong in the buckets that these spans touch, grains from fine to coarse; `everything` are all spans.

    True when nothing is inserted meanwhile: a batch on its way is in raw first. Buckets whose raw has begun to expire
    are passed over.

    A grain made from another is held against that one's totals: a year against twelve months, where raw has millions of
    rows. Where the two disagree, or the finer one was wrong itself, raw decides.
    """
    found: dict[str, list[Drift]] = {}
    expired = await watermark(engine, dataset)
    for grain in grains_of(dataset):
        since = grain.ceiling(expired)
        wrong = await _compare_spans(engine, grain, spans, since, grain.source)
        if not grain.from_raw:
            doubtful = [span for one in (*wrong, *found[grain.source]) for span in one.spans]
            wrong = await _compare_spans(engine, grain, doubtful, since, dataset.raw)
        found[grain.table] = wrong
    return [one for drifts in found.values() for one in drifts]


async def everything(engine: Engine, dataset: Dataset) -> list[Span]:
    """Spans that hold all there is in raw and in the rollups of a dataset."""
    # A part of which all rows were deleted stays for a while, and says it begins in 1970.
    parts = await engine.select(
        Statement(
            """\
SELECT table, partition_id, toInt64(toUnixTimestamp(min(min_time))), toInt64(toUnixTimestamp(max(max_time)))
FROM system.parts
WHERE active AND database = currentDatabase() AND rows > 0
GROUP BY table, partition_id"""
        )
    )
    months = [month_of(int(id_)) for table, id_, _, _ in parts if table == dataset.raw]
    grains = {grain.table for grain in grains_of(dataset)}
    # A decade's partition may hold one year: only what there is, or each empty year would be asked about.
    buckets = [Span(first * 1000, last * 1000 + 1) for table, _, first, last in parts if table in grains]
    return merged(months + buckets)


async def compare(
    engine: Engine,
    partition: Partition,
    spans: Sequence[Span] = (),
    *,
    table: str | None = None,
    source: str | None = None,
) -> Drift | None:
    """What is wrong with the whole buckets `spans` of a partition, or with all of it; None: nothing.

    `table` stands in for the partition's own; `source` (default: raw; or a finer rollup, by its totals) is what is
    right.
    """
    asked = merged(spans or [partition.span], MOST)
    sql = _COMPARE.format(sides=rows_by_set(partition.grain, source or partition.grain.dataset.raw, asked, table))
    rows = await engine.select(Statement(sql, {"partition": partition.id, **bound(asked)}))
    if not rows:
        return None
    buckets = tuple(row[0] * 1000 for row in rows)
    return Drift(partition, buckets, sum(row[1] for row in rows), sum(row[2] for row in rows))


async def unlike(engine: Engine, partition: Partition, table: str, origin: Origin) -> list[Span]:
    """The buckets of which `table` has other views than the rollup it was made from: where a site's views in a
    dimension set are as many, they are the same, as long as the rollup only grew."""
    sql = _UNLIKE.format(
        rows=partition.grain.dataset.rows,
        table=table,
        origin=origin.table,
        bucket=partition.grain.bucket.format("r.bucket"),
        sets=", ".join(str(one.id) for one in origin.dimension_sets),
        within=within("r.bucket", BUCKET, [origin.span]),
    )
    starts = [row[0] * 1000 for row in await engine.select(Statement(sql, bound([origin.span])))]
    return merged(Span(start, partition.grain.ceiling(start + 1)) for start in starts)


_UNLIKE = """\
SELECT DISTINCT toInt64(toUnixTimestamp(bucket)) AS start
FROM
(
    SELECT toInt8(r.dimension_set) AS set_id, r.site AS site, r.bucket AS bucket, r.{rows} AS held, 0 AS made
    FROM {table} AS r
    WHERE set_id IN ({sets}) AND {within}
    UNION ALL
    SELECT toInt8(r.dimension_set) AS set_id, r.site AS site, {bucket} AS bucket, 0 AS held, r.{rows} AS made
    FROM {origin} AS r
    WHERE set_id IN ({sets}) AND {within}
)
GROUP BY set_id, site, bucket
HAVING sum(held) != sum(made)
ORDER BY start"""


async def _compare_spans(engine: Engine, grain: Grain, spans: Sequence[Span], since: int, source: str) -> list[Drift]:
    """`since`: the first bucket whose raw events are all there."""
    whole = (Span(max(span.start, since), span.end) for span in whole_buckets(grain, spans))
    cut = by_partition(grain, [span for span in whole if span.start < span.end])
    compared = [await compare(engine, partition, within, source=source) for partition, within in cut.items()]
    return [one for one in compared if one is not None]


_COMPARE = """\
SELECT toInt64(toUnixTimestamp(bucket)), sum(expected), sum(found)
FROM
(
{sides}
    HAVING expected != found
)
GROUP BY bucket
ORDER BY bucket"""
