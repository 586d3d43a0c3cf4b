"""Changes of raw that are no inserts: begun, and waited for without holding a connection."""

from __future__ import annotations

import asyncio
import time

from clickhouse.engine import Engine
from clickhouse.errors import Unavailable
from clickhouse.shapes import Dataset
from clickhouse.statement import Statement

# Seconds between two looks, from the first to the last: a small mutation takes 30 ms, one of 50 M events minutes.
_LOOKS = (0.02, 1.0)

# Seconds that ClickHouse may fail at a mutation before somebody hears of it; it tries again by itself all along.
_PATIENCE = 60

_RUNNING = """\
SELECT count(), anyIf(latest_fail_reason, latest_fail_reason != '')
FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done"""


async def mutate(engine: Engine, dataset: Dataset, statement: Statement) -> None:
    """Carries an ALTER TABLE UPDATE or DELETE of raw out; its effect is there when this returns. What is inserted
    after the call is not touched.

    Not with mutations_sync: that would keep the embedded engine's inserts, and a server's answer, waiting for as long.

    Raises:
        Unavailable: it cannot be carried out now; ClickHouse goes on trying.
        ClickHouseError
    """
    await engine.execute(Statement(f"{statement.sql}\nSETTINGS mutations_sync = 0", statement.values))
    await settled(engine, dataset)


async def settled(engine: Engine, dataset: Dataset) -> None:
    """Returns when no mutation of raw is under way, whoever began it. Raises Unavailable, ClickHouseError."""
    pause, last = _LOOKS
    failing_since: float | None = None
    while True:
        count, reason = (await engine.select(Statement(_RUNNING, {"table": dataset.raw})))[0]
        if not count:
            return
        failing_since = (failing_since or time.monotonic()) if reason else None
        if failing_since is not None and time.monotonic() - failing_since > _PATIENCE:
            raise Unavailable(f"ClickHouse fails to change {dataset.raw}: {reason}")
        await asyncio.sleep(pause)
        pause = min(2 * pause, last)
