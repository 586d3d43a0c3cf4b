"""Rollups made from raw by hand, where no view has done it."""

from __future__ import annotations

from clickhouse import ddl
from clickhouse.engine import Engine
from clickhouse.rollups import EVENTS, Grain
from clickhouse.spans import Span, months_of
from clickhouse.statement import Statement

_HELD = f"""\
SELECT count(), toUnixTimestamp64Milli(min(viewed_at)), toUnixTimestamp64Milli(max(viewed_at))
FROM {EVENTS}"""
_WITHIN = """
WHERE viewed_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND viewed_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"""


async def held(engine: Engine, within: Span | None = None) -> Span | None:
    """From the first to the last event; None: there is none."""
    asked = Statement(_HELD) if within is None else Statement(_HELD + _WITHIN, within._asdict())
    count, first, last = (await engine.select(asked))[0]
    return Span(first, last + 1) if count else None


async def fill(engine: Engine, grain: Grain, table: str, span: Span) -> None:
    """Adds all that the grain holds of the raw events of a span, a month at a time: what a statement needs of memory
    grows with the keys it makes. A bucket cut by a month has a row of each, which merge as those of two inserts do."""
    for month in months_of(span):
        await engine.execute(Statement(ddl.fill(grain, table), month._asdict()))
