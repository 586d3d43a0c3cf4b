"""The data set: made inside ClickHouse, put into every rollup by the views, merged, and measured on disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.history import Figures
from bench.storage import merge, storage
from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.migrate import migrate
from clickhouse.rollups import OF_SAMPLES, SAMPLES, grains_of
from clickhouse.samples import Sample, labels_text
from clickhouse.statement import Statement, Value

METRIC = "heart_rate"
END = datetime(2025, 1, 1, tzinfo=UTC)

# About one block of ClickHouse's own; views run once a block.
_ROWS = 1_000_000

_SERIES = [
    Sample("default", METRIC, labels_text({"user": str(user), "device": device}), 0, 0.0, 0)
    for user in range(1, 11)
    for device in ("watch", "strap")
]
_COLUMNS = "site, metric, labels, series, at, value, received_at"
_TABLES = (SAMPLES, *(grain.table for grain in grains_of(OF_SAMPLES)))


@dataclass(frozen=True)
class Sizes:
    """Of each of the twenty series: a sample a minute over `days` days, a second in the last `dense` of them."""

    days: int
    dense: int

    @property
    def start(self) -> datetime:
        return END - timedelta(days=self.days)

    @property
    def minutes(self) -> int:
        return (self.days - self.dense) * 1440

    @property
    def rows(self) -> int:
        return len(_SERIES) * (self.minutes + self.dense * 86400)


def build(dsn: str, sizes: Sizes) -> Figures:
    """Takes what is there when it is as many samples; the figures say what the tables take on disk."""
    return asyncio.run(_build(Dsn.parse(dsn), sizes))


async def _build(dsn: Dsn, sizes: Sizes) -> Figures:
    engine = await open_engine(dsn)
    try:
        await migrate(engine)
        [(held,)] = await engine.select(Statement(f"SELECT count() FROM {SAMPLES}"))  # noqa: S608 - a name of ours
        if held != sizes.rows:
            await _fill(engine, sizes)
        await merge(engine, OF_SAMPLES)
        return await storage(engine, OF_SAMPLES)
    finally:
        await engine.close()


async def _fill(engine: Engine, sizes: Sizes) -> None:
    for table in _TABLES:
        await engine.execute(Statement(f"TRUNCATE TABLE {table}"))
    made = Path(__file__).with_name("samples.sql").read_text()
    bound: dict[str, Value] = {
        "labels": [one.labels for one in _SERIES],
        "series": [one.series for one in _SERIES],
        "start": int(sizes.start.timestamp()),
        "minutes": sizes.minutes,
    }
    for first in range(0, sizes.rows, _ROWS):
        part: dict[str, Value] = {"first": first, "rows": min(_ROWS, sizes.rows - first)}
        await engine.execute(Statement(f"INSERT INTO {SAMPLES} ({_COLUMNS}) {made}", {**bound, **part}))
