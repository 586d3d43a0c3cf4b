"""How a dry run looks in answers."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.origins import Source
from workers.backfill import Target
from workers.granularity import Granularity, granularity_of


class Planned(BaseModel):
    """One partition that would be made again. `buckets` of them begin from `first_bucket` to `last_bucket`; `rows` are
    what they would be made from, about."""

    granularity: Granularity
    table: str
    partition: str
    source: Source
    first_bucket: str
    last_bucket: str
    buckets: int
    rows: int

    @classmethod
    def of(cls, target: Target) -> Planned:
        grain, span = target.partition.grain, target.buckets
        last, count = grain.floor(span.end - 1), 0
        if grain.shortest == grain.longest:
            count = (last - span.start) // grain.longest + 1
        else:
            bucket = span.start
            while bucket < span.end:
                bucket, count = grain.ceiling(bucket + 1), count + 1
        return cls(
            granularity=granularity_of(grain),
            table=grain.table,
            partition=target.partition.id,
            source=target.source,
            first_bucket=rfc3339(from_epoch_ms(span.start)),
            last_bucket=rfc3339(from_epoch_ms(last)),
            buckets=count,
            rows=target.rows,
        )


class DryRun(BaseModel):
    """Nothing was done. `reattributed` events name nobody or a former author of their blog, and would go to the
    registered one; then all grains of their months are made again."""

    partitions: list[Planned]
    rows: int
    reattributed: int

    @classmethod
    def of(cls, targets: Sequence[Target], reattributed: int) -> DryRun:
        rows = sum(target.rows for target in targets)
        return cls(partitions=[*map(Planned.of, targets)], rows=rows, reattributed=reattributed)
