"""What a data set takes on disk, once it is merged."""

from __future__ import annotations

from bench.history import Figures
from clickhouse.engine import Engine
from clickhouse.holdings import holdings
from clickhouse.rollups import grains_of
from clickhouse.shapes import Dataset
from clickhouse.statement import Statement


async def merge(engine: Engine, dataset: Dataset) -> None:
    """As a minute without inserts leaves each partition (clickhouse.ddl.MERGE_AFTER)."""
    for table in (dataset.raw, *(grain.table for grain in grains_of(dataset))):
        await engine.execute(Statement(f"OPTIMIZE TABLE {table} FINAL SETTINGS optimize_skip_merged_partitions = 1"))


async def storage(engine: Engine, dataset: Dataset) -> Figures:
    """Bytes a row of raw, all rollups by raw, and rows and MB of `raw` and each grain."""
    raw, *rollups = await holdings(engine, [dataset])
    figures: Figures = {
        "storage.row": raw.bytes / raw.rows,
        "storage.ratio": sum(one.bytes for one in rollups) / raw.bytes,
    }
    for one in (raw, *rollups):
        name = one.grain.name if one.grain else "raw"
        figures |= {f"storage.{name}.rows": one.rows, f"storage.{name}.mb": one.bytes / 1e6}
    return figures
