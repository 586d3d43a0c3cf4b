"""Events that expire at once, as two runs of retention long after each other would have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.retention import advance, drop_month, months_before
from clickhouse.rollups import VIEWS


async def expire(engine: Engine, since: int) -> None:
    """Events before the first instant of a month are gone; rollups have them."""
    await advance(engine, VIEWS, since, now=since)
    for month in await months_before(engine, VIEWS, since):
        await drop_month(engine, VIEWS, month)


def kept(stored: Iterable[Event], since: int) -> Iterator[Event]:
    return (event for event in stored if event.viewed_at >= since)
