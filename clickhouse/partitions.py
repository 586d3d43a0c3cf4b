"""The unit of comparing and rebuilding: one partition of one rollup."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse.instants import epoch_ms
from clickhouse.shapes import Grain
from clickhouse.spans import Span, merged

STAGING = "rebuild_"


@dataclass(frozen=True)
class Partition:
    """`id` is ClickHouse's: the month (202501), the year, or the decade (202), its buckets start in."""

    grain: Grain
    id: str

    @property
    def span(self) -> Span:
        """All instants whose buckets lie in it. A week belongs to the year of its Monday."""
        months = self.grain.months
        number = int(self.id)
        # Months since year 0.
        first = number // 100 * 12 + number % 100 - 1 if months == 1 else number * months
        return Span(*(self.grain.ceiling(_start(month)) for month in (first, first + months)))

    @property
    def staging(self) -> str:
        """The table it is rebuilt in."""
        return f"{STAGING}{self.grain.table}_{self.id}"

    def __str__(self) -> str:
        return f"{self.grain.table}[{self.id}]"


def partition_of(grain: Grain, instant: int) -> Partition:
    """The one that holds the bucket of an instant (epoch ms)."""
    bucket = datetime.fromtimestamp(grain.floor(instant) // 1000, UTC)
    return Partition(grain, f"{bucket:%Y%m}" if grain.months == 1 else str(bucket.year * 12 // grain.months))


def whole_buckets(grain: Grain, spans: Iterable[Span]) -> list[Span]:
    """The spans widened to the ends of buckets, merged."""
    return merged(Span(grain.floor(span.start), grain.ceiling(span.end)) for span in spans)


def by_partition(grain: Grain, spans: Iterable[Span]) -> dict[Partition, list[Span]]:
    """The whole buckets of the spans, cut where partitions end."""
    cut = defaultdict[Partition, list[Span]](list)
    for start, end in whole_buckets(grain, spans):
        while start < end:
            partition = partition_of(grain, start)
            stop = min(end, partition.span.end)
            cut[partition].append(Span(start, stop))
            start = stop
    return cut


def _start(month: int) -> int:
    return epoch_ms(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC))
