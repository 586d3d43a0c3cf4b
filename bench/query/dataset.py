"""The data set: made inside ClickHouse, put into every rollup by the views, merged, and measured on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.direct import COLUMNS
from bench.history import Figures
from bench.storage import merge, storage
from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS, GRAINS, VIEWS
from clickhouse.statement import Statement, Value

# About one block of ClickHouse's own; views run once a block.
_ROWS = 1_000_000

_TABLES = (EVENTS, *(grain.table for grain in GRAINS), "blog_numbers", "blogs", "authors")


def sql(name: str) -> str:
    """The statement in the file of that name, beside this one."""
    return Path(__file__).with_name(f"{name}.sql").read_text()


# Rows as `bench.direct` wants them, bound to `first`, `rows` and `events`.
ROWS = f"SELECT {COLUMNS} FROM ({sql('events')})"  # noqa: S608 - names of the schema


def build(dsn: str, events: int) -> Figures:
    """Takes what is there when it is as many events, beside those that a bench sent to a site of its own; the figures
    say what the tables take on disk."""
    return asyncio.run(_build(Dsn.parse(dsn), events))


async def _build(dsn: Dsn, events: int) -> Figures:
    engine = await open_engine(dsn)
    try:
        await migrate(engine)
        [(held,)] = await engine.select(Statement("SELECT count() FROM view_events WHERE site = 'default'"))
        if held != events:
            await _fill(engine, events)
        await merge(engine, VIEWS)
        return await storage(engine, VIEWS)
    finally:
        await engine.close()


async def _fill(engine: Engine, events: int) -> None:
    for table in _TABLES:
        await engine.execute(Statement(f"TRUNCATE TABLE {table}"))
    for first in range(0, events, _ROWS):
        bound: dict[str, Value] = {"first": first, "rows": min(_ROWS, events - first), "events": events}
        await engine.execute(Statement(f"INSERT INTO {EVENTS} ({COLUMNS}) {ROWS}", bound))
    numbers = "INSERT INTO blog_numbers SELECT DISTINCT site, blog_id, blog_number FROM view_events"
    for statement in (numbers, sql("blogs"), sql("authors")):
        await engine.execute(Statement(statement))
