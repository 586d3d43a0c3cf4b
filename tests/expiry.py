"""Events that expire at once, as two runs of retention long after each other would have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.retention import advance, drop_month, months_before
from clickhouse.rollups import VIEWS
from clickhouse.shapes import Dataset


async def expire(engine: Engine, since: int, dataset: Dataset = VIEWS) -> None:
    """Rows of raw before the first instant of a month are gone; rollups have them."""
    await advance(engine, dataset, since, now=since)
    for month in await months_before(engine, dataset, since):
        await drop_month(engine, dataset, month)


def kept(stored: Iterable[Event], since: int) -> Iterator[Event]:
    return (event for event in stored if event.viewed_at >= since)
