"""The same aggregation as anyone would write it: INSERT … SELECT into an empty table, nobody else there."""

from __future__ import annotations

import asyncio
import time

from clickhouse import ddl
from clickhouse.engine import Dsn, open_engine
from clickhouse.fill import held
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.spans import months_of
from clickhouse.statement import Statement

_TABLE = "plain_insert_select"


def plain(dsn: str) -> dict[str, float]:
    """Seconds by grain. A statement a month and a dimension set, the fastest there is: of all 50 M events at once the
    finest sets need more memory than there is for a rebuild."""
    return asyncio.run(_plain(Dsn.parse(dsn)))


async def _plain(dsn: Dsn) -> dict[str, float]:
    engine = await open_engine(dsn)
    try:
        span = await held(engine, VIEWS)
        if span is None:
            raise ValueError("there are no events")
        seconds = {}
        for grain in GRAINS:
            await engine.execute(Statement(f"DROP TABLE IF EXISTS {_TABLE} SYNC"))
            await engine.execute(Statement(f"CREATE TABLE {_TABLE} AS {grain.table}"))
            began = time.perf_counter()
            for month in months_of(span):
                for one in grain.dimension_sets:
                    await engine.execute(Statement(ddl.fill(grain, _TABLE, one, grain.dataset.raw), month._asdict()))
            seconds[grain.name] = time.perf_counter() - began
        await engine.execute(Statement(f"DROP TABLE IF EXISTS {_TABLE} SYNC"))
        return seconds
    finally:
        await engine.close()
