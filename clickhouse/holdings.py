"""What the tables hold: rows, bytes, first and last bucket, last write and rebuild, and how they stand beside raw."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.engine import Engine
from clickhouse.reconciliations import Standing, last_rebuilds, standing
from clickhouse.rollups import EVENTS, GRAINS
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Holding:
    """One table. `first` and `last` are bucket starts (raw: events), `written` the last insert or merge, `rebuilt` when
    a partition was last put in place; epoch ms. `standing`: at the last reconcile."""

    table: str
    grain: str
    rows: int
    bytes: int
    first: int | None
    last: int | None
    written: int | None
    rebuilt: int | None
    standing: Standing | None


async def holdings(engine: Engine) -> list[Holding]:
    """Raw first, then the rollups from fine to coarse."""
    parts = await engine.select(
        Statement(
            """\
SELECT table, sum(rows), sum(bytes_on_disk), toInt64(toUnixTimestamp(max(modification_time))) * 1000
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table"""
        )
    )
    sizes = {row[0]: row[1:] for row in parts}
    tables = [(EVENTS, "raw", "toUnixTimestamp64Milli({}(viewed_at))")]
    tables += [(grain.table, grain.name, "toInt64(toUnixTimestamp({}(bucket))) * 1000") for grain in GRAINS]
    rebuilt, stands = await last_rebuilds(engine), await standing(engine)
    found = []
    for table, grain, time in tables:
        rows, size, written = sizes.get(table, (0, 0, None))
        first = last = None
        if rows:
            spans = await engine.select(Statement(f"SELECT {time.format('min')}, {time.format('max')} FROM {table}"))
            first, last = spans[0]
        found.append(Holding(table, grain, rows, size, first, last, written, rebuilt.get(table), stands.get(table)))
    return found


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
            {"tables": [EVENTS, *(grain.table for grain in GRAINS)]},
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}
