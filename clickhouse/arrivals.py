"""Whether anything came in lately."""

from __future__ import annotations

from clickhouse.engine import Engine
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement


async def any_received(engine: Engine, since: int) -> bool:
    """Whether the raw table holds an event received at or after `since` (epoch ms). Raises ClickHouseError."""
    sql = f"SELECT 1 FROM {EVENTS} WHERE received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC') LIMIT 1"
    return bool(await engine.select(Statement(sql, {"since": since})))
