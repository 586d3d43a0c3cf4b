"""What came in lately."""

from __future__ import annotations

from clickhouse.engine import Engine
from clickhouse.rollups import DATASETS
from clickhouse.statement import Statement


async def any_received(engine: Engine, since: int) -> bool:
    """Whether raw of any dataset holds a row received at or after `since` (epoch ms). Raises ClickHouseError."""
    late = "received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
    selects = [f"(SELECT 1 FROM {dataset.raw} WHERE {late} LIMIT 1)" for dataset in DATASETS]
    return bool(await engine.select(Statement("\nUNION ALL\n".join(selects), {"since": since})))
