"""Which events have expired: those viewed before the watermark. All instants are epoch milliseconds.

The watermark is written first and raw's months are dropped later: nobody plans to read what is about to go. It never
goes back, since what was dropped does not come again.
"""

from __future__ import annotations

from clickhouse.engine import Engine
from clickhouse.rollups import EVENTS
from clickhouse.spans import month_of
from clickhouse.statement import Statement, Value


async def watermark(engine: Engine, written_by: int | None = None) -> int:
    """The first instant whose events are kept, as far as that was written by a moment; 0: no event has expired."""
    latest = "SELECT toUnixTimestamp64Milli(max(covered_since))\nFROM retention"
    if written_by is None:
        asked = Statement(latest)
    else:
        before = "\nWHERE written_at <= fromUnixTimestamp64Milli({written_by:Int64}, 'UTC')"
        asked = Statement(latest + before, {"written_by": written_by})
    return int((await engine.select(asked))[0][0])


async def advance(engine: Engine, since: int, now: int) -> None:
    """Events viewed before `since`, the first instant of a month, count as expired from now on."""
    values: dict[str, Value] = {"since": since, "now": now}
    insert = """\
INSERT INTO retention (covered_since, written_at)
SELECT fromUnixTimestamp64Milli({since:Int64}, 'UTC'), fromUnixTimestamp64Milli({now:Int64}, 'UTC')"""
    await engine.execute(Statement(insert, values))


async def months_before(engine: Engine, since: int) -> list[int]:
    """Raw's partitions, YYYYMM, that end by an instant."""
    rows = await engine.select(
        Statement(
            """\
SELECT DISTINCT partition_id
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
ORDER BY partition_id""",
            {"table": EVENTS},
        )
    )
    return [int(row[0]) for row in rows if month_of(int(row[0])).end <= since]


async def received_since(engine: Engine, month: int, since: int) -> bool:
    """Whether an event of the month has come in at or after an instant."""
    received = f"""\
SELECT 1
FROM {EVENTS}
WHERE _partition_id = {{month:String}} AND received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
LIMIT 1"""
    return bool(await engine.select(Statement(received, {"month": str(month), "since": since})))


async def drop_month(engine: Engine, month: int) -> None:
    """The events go, the rollups keep their views."""
    await engine.execute(Statement(f"ALTER TABLE {EVENTS} DROP PARTITION ID '{month}'"))
