"""The tables that questions are asked of: their engine, and plans that know how large they are."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.existing import Existing
from clickhouse.labels import Labels
from clickhouse.plan import Plan, plan
from clickhouse.question import Asked
from clickhouse.retention import watermark
from clickhouse.rollups import DATASETS, EVENTS, GRAINS, TOTAL, VIEWS
from clickhouse.shapes import Grain
from clickhouse.statement import Statement

logger = logging.getLogger(__name__)

# Seconds. What is counted changes with the audience, over months; counting takes 0.8 s on 50 M events.
REFRESH = 1800

# Seconds. Raw is dropped ten minutes after the watermark said so (workers/retention.py), and a question takes seconds.
WATERMARK = 60

# Events: up to here plans take every grain they can. It makes no odds, and shows how a range is cut.
LITTLE = 100_000


class Tables:
    """One a process. Nobody waits for rows to be counted: what a plan is told of them may be some minutes old."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.labels = Labels(engine)
        self._existing = Existing()
        self._counted = -float(REFRESH)
        self._counting: asyncio.Task[None] | None = None
        self._since: dict[str, int] = {}
        self._looked = -float(WATERMARK)

    async def plan(self, question: Asked, grains: tuple[Grain, ...] | None = None) -> Plan:
        """Raises Expired, ClickHouseError."""
        if time.monotonic() - self._counted > REFRESH and self._counting is None:
            self._counting = asyncio.create_task(self._count())
        if time.monotonic() - self._looked > WATERMARK:
            await self._look()
        # Samples are not counted: where there are rows of a metric differs from metric to metric.
        existing = self._existing if question.dataset is VIEWS else Existing()
        return plan(question, replace(existing, since=self._since), grains)

    async def _look(self) -> None:
        """Since when raw has events. Who asks first after a quiet night waits for it, or would read what is gone."""
        began = time.monotonic()
        since = {dataset.raw: await watermark(self.engine, dataset) for dataset in DATASETS}
        self._since = {table: instant for table, instant in since.items() if instant}
        self._looked = began

    async def close(self) -> None:
        if self._counting is not None:
            await self._counting

    async def _count(self) -> None:
        try:
            self._existing = await count(self.engine)
        except ClickHouseError as error:
            logger.warning("rows are not counted, plans take every grain they can: %s", error)
        self._counted = time.monotonic()
        self._counting = None


async def count(engine: Engine) -> Existing:
    """A total has one row a site and bucket; so many times more rows than it has another dimension set."""
    selects = [
        f"SELECT '{grain.table}', toString(dimension_set), count(), sum(views), avg(bitmapCardinality(blogs))"
        f" FROM {grain.table} GROUP BY ALL"
        for grain in GRAINS
    ]
    found = {(row[0], row[1]): row[2:] for row in await engine.ask(Statement("\nUNION ALL\n".join(selects)))}
    totals = {table: numbers for (table, name), numbers in found.items() if name == TOTAL.name}
    rows = {(table, name): numbers[0] / totals[table][0] for (table, name), numbers in found.items() if table in totals}
    days, views, _ = totals.get("views_by_day", (0, 0, 0))
    if views < LITTLE:
        return Existing()
    rows[EVENTS, ""] = views / days
    return Existing(rows=rows, blogs={part: numbers[2] for part, numbers in found.items()})
