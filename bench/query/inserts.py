"""What the rollups cost a writer: the same blocks into view_events, and into its like that no view reads from."""

from __future__ import annotations

import asyncio
import time
from secrets import token_hex

from clickhouse_connect.driver.client import Client

from bench.direct import FIELDS, connect
from bench.history import Figures
from bench.query.dataset import ROWS
from clickhouse.blocks import INSERT_SETTINGS
from clickhouse.engine import Dsn, open_engine
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement, Value

_ALONE = "view_events_alone"
_ROWS = 50_000

# As dense as 50 M events in three years, whatever the data set: a block spans 26 hours.
_OF = 50_000_000

# The fastest counts, of both.
_ROUNDS = 3

# As the service sends them, and as clients insert directly.
_FORMATS = {"native": "Native", "json": "JSONEachRow"}


def insert_costs(dsn: str, blocks: int) -> Figures:
    """Events/s of one connection by format, with the rollups and alone; the database is made anew."""
    target = Dsn.parse(dsn)
    asyncio.run(_make_anew(target))
    client = connect(target)
    client.command(f"CREATE TABLE {_ALONE} AS {EVENTS}")
    figures: Figures = {}
    for name, format_ in _FORMATS.items():
        frozen = [_block(client, format_, _OF - (blocks - number) * _ROWS) for number in range(blocks)]
        rates = [
            (_rate(client, _ALONE, format_, frozen), _rate(client, EVENTS, format_, frozen)) for _ in range(_ROUNDS)
        ]
        alone, rolled = map(max, zip(*rates, strict=True))
        figures |= {
            f"insert.{name}.alone": alone,
            f"insert.{name}.rollups": rolled,
            f"insert.{name}.ratio": rolled / alone,
        }
    client.close()
    return figures


async def _make_anew(dsn: Dsn) -> None:
    engine = await open_engine(dsn)
    await engine.execute(Statement(f"DROP DATABASE `{dsn.database}` SYNC"))
    await engine.close()
    engine = await open_engine(dsn)
    await migrate(engine)
    await engine.close()


def _block(client: Client, format_: str, first: int) -> bytes:
    bound: dict[str, Value] = {"first": first, "rows": _ROWS, "events": _OF}
    return client.raw_query(ROWS, parameters=bound, fmt=format_)


def _rate(client: Client, table: str, format_: str, blocks: list[bytes]) -> float:
    began = time.perf_counter()
    for block in blocks:
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token_hex(16)}
        client.raw_insert(table, FIELDS, block, settings=settings, fmt=format_)
    return len(blocks) * _ROWS / (time.perf_counter() - began)
