"""Partitions of raw that nobody writes to any more, made one part each.

Rollups need no help: with min_age_to_force_merge_seconds = 60 the engine makes a partition one part by itself (chDB
26.9: all were, 60 to 70 s after the last insert). Raw, without that setting, stayed at 7 parts. With it the engine
would rewrite raw's months by itself, too, but several at once and whatever their size; so it is a job.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.engine import Engine
from clickhouse.shapes import Dataset
from clickhouse.statement import Statement

# Bytes: beyond, one part gains nothing, and rewriting it takes an hour. ClickHouse's own merges end there as well.
LARGEST = 150 * 2**30


@dataclass(frozen=True)
class Scattered:
    """A partition of raw, YYYYMM, in several parts."""

    month: int
    parts: int
    rows: int


async def scattered(engine: Engine, dataset: Dataset, written_before: int) -> list[Scattered]:
    """What is in several parts, of which none was written or merged since an instant (epoch ms)."""
    rows = await engine.select(
        Statement(
            """\
SELECT toUInt32(partition_id), count(), sum(rows)
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
GROUP BY partition_id
HAVING count() > 1
   AND toInt64(toUnixTimestamp(max(modification_time))) * 1000 < {written_before:Int64}
   AND sum(bytes_on_disk) < {largest:Int64}
ORDER BY partition_id""",
            {"table": dataset.raw, "written_before": written_before, "largest": LARGEST},
        )
    )
    return [Scattered(*row) for row in rows]


async def compact(engine: Engine, dataset: Dataset, month: int) -> None:
    """One part, whatever comes in meanwhile aside. Merges are bounded by themselves: some 100 MB whatever the size."""
    await engine.execute(Statement(f"OPTIMIZE TABLE {dataset.raw} PARTITION ID '{month}' FINAL"))
