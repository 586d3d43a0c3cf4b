"""Which rows of raw have expired: those of a time before their dataset's watermark. Instants are epoch milliseconds.

The watermark is written first and raw's months are dropped later: nobody plans to read what is about to go. It never
goes back, since what was dropped does not come again.
"""

from __future__ import annotations

from clickhouse.engine import Engine
from clickhouse.shapes import Dataset
from clickhouse.spans import month_of
from clickhouse.statement import Statement, Value


async def watermark(engine: Engine, dataset: Dataset, written_by: int | None = None) -> int:
    """The first instant whose rows are kept, as far as that was written by a moment; 0: none has expired."""
    latest = "SELECT toUnixTimestamp64Milli(max(covered_since))\nFROM retention\nWHERE dataset = {dataset:String}"
    values: dict[str, Value] = {"dataset": dataset.name}
    if written_by is None:
        asked = Statement(latest, values)
    else:
        before = "\n  AND written_at <= fromUnixTimestamp64Milli({written_by:Int64}, 'UTC')"
        asked = Statement(latest + before, {**values, "written_by": written_by})
    return int((await engine.select(asked))[0][0])


async def advance(engine: Engine, dataset: Dataset, since: int, now: int) -> None:
    """Rows of a time before `since`, the first instant of a month, count as expired from now on."""
    values: dict[str, Value] = {"dataset": dataset.name, "since": since, "now": now}
    insert = """\
INSERT INTO retention (dataset, covered_since, written_at)
SELECT {dataset:String}, fromUnixTimestamp64Milli({since:Int64}, 'UTC'), fromUnixTimestamp64Milli({now:Int64}, 'UTC')"""
    await engine.execute(Statement(insert, values))


async def months_before(engine: Engine, dataset: Dataset, since: int) -> list[int]:
    """Raw's partitions, YYYYMM, that end by an instant."""
    rows = await engine.select(
        Statement(
            """\
SELECT DISTINCT partition_id
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
ORDER BY partition_id""",
            {"table": dataset.raw},
        )
    )
    return [int(row[0]) for row in rows if month_of(int(row[0])).end <= since]


async def received_since(engine: Engine, dataset: Dataset, month: int, since: int) -> bool:
    """Whether a row of the month has come in at or after an instant."""
    received = f"""\
SELECT 1
FROM {dataset.raw}
WHERE _partition_id = {{month:String}} AND received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
LIMIT 1"""
    return bool(await engine.select(Statement(received, {"month": str(month), "since": since})))


async def drop_month(engine: Engine, dataset: Dataset, month: int) -> None:
    """The rows go, the rollups keep what they counted of them."""
    await engine.execute(Statement(f"ALTER TABLE {dataset.raw} DROP PARTITION ID '{month}'"))
