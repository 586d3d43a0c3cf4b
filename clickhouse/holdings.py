"""What the tables hold: rows, bytes, first and last bucket, last write and rebuild, and how they stand beside raw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clickhouse.engine import Engine
from clickhouse.reconciliations import Standing, last_rebuilds, standing
from clickhouse.rollups import ALL_GRAINS, DATASETS, grains_of
from clickhouse.shapes import Dataset, Grain
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Holding:
    """One table. `first` and `last` are bucket starts (raw: rows), `written` the last insert or merge, `rebuilt` when
    a partition was last put in place; epoch ms. `standing`: at the last reconcile."""

    dataset: Dataset
    table: str
    grain: Grain | None
    """None: raw."""
    rows: int
    bytes: int
    """On disk."""
    compression: float | None
    """How many bytes of columns one of them on disk stands for; None: there are none."""
    first: int | None
    last: int | None
    written: int | None
    rebuilt: int | None
    standing: Standing | None


async def holdings(engine: Engine, datasets: Sequence[Dataset] = DATASETS) -> list[Holding]:
    """Of each dataset raw first, then the rollups from fine to coarse."""
    parts = await engine.select(
        Statement(
            """\
SELECT
    table, sum(rows), sum(bytes_on_disk), toInt64(toUnixTimestamp(max(modification_time))) * 1000,
    sum(data_uncompressed_bytes) / sum(data_compressed_bytes)
FROM system.parts
WHERE active AND database = currentDatabase() AND rows > 0
GROUP BY table"""
        )
    )
    sizes = {row[0]: row[1:] for row in parts}
    rebuilt, stands = await last_rebuilds(engine), await standing(engine)
    found = []
    for dataset in datasets:
        for grain in (None, *grains_of(dataset)):
            table = dataset.raw if grain is None else grain.table
            rows, size, written, compression = sizes.get(table, (0, 0, None, None))
            first, last = await _ends(engine, dataset, grain) if rows else (None, None)
            found.append(
                Holding(
                    *(dataset, table, grain, rows, size, compression, first, last, written),
                    *(rebuilt.get(table), stands.get(table)),
                )
            )
    return found


def behind(one: Holding, raw: Holding) -> int:
    """Milliseconds from the end of a rollup's last bucket to the last row of raw; 0 where it has its bucket."""
    if one.grain is None or raw.first is None or raw.last is None:
        return 0
    end = raw.first if one.last is None else one.grain.ceiling(one.last + 1)
    return max(0, raw.last + 1 - end)


async def _ends(engine: Engine, dataset: Dataset, grain: Grain | None) -> tuple[int, int]:
    if grain is None:
        time, table = f"toUnixTimestamp64Milli({{}}({dataset.time}))", dataset.raw
    else:
        time, table = "toInt64(toUnixTimestamp({}(bucket))) * 1000", grain.table
    rows = await engine.select(Statement(f"SELECT {time.format('min')}, {time.format('max')} FROM {table}"))
    return rows[0][0], rows[0][1]


async def rows_by_partition(engine: Engine) -> dict[tuple[str, str], int]:
    """Of raw and the rollups, by table and ClickHouse's id of the partition."""
    rows = await engine.select(
        Statement(
            """\
SELECT table, partition_id, sum(rows)
FROM system.parts
WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)}
GROUP BY table, partition_id
HAVING sum(rows) > 0""",
            {"tables": [*(dataset.raw for dataset in DATASETS), *(grain.table for grain in ALL_GRAINS)]},
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}
