"""A spool and what flushes it, as a process has them, on an engine that fails when told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis

from clickhouse.engine import Engine, Row
from clickhouse.errors import Unavailable
from clickhouse.events import Event
from clickhouse.rollups import EVENTS, GRAINS, VIEWS
from clickhouse.statement import Statement
from workers.claims import Claims
from workers.dead_letters import DeadLetters
from workers.doubt import Doubts
from workers.fence import BATCHES, Fence
from workers.flusher import Flusher
from workers.intake import Intake, Receipt
from workers.metrics import Metrics
from workers.numbering import Numbering
from workers.preparing import PreparingEvents
from workers.spool.folders import take
from workers.spool.spool import Limits, Spool
from workers.versions import Versions
from workers.writing import WRITING_EVENTS

LIMITS = Limits(bytes=2**30, age_seconds=3_600, free_bytes=0)


def event(number: int = 0, site: str = "s") -> Event:
    now = int(time.time() * 1000)
    return Event(uuid4().bytes, site, f"b{number}", "u", "ET", number, now, now, "", "")


_FUSE = "CREATE TABLE fuse (x UInt8) ENGINE = Memory"
_BROKEN_VIEW = (
    "CREATE MATERIALIZED VIEW broken TO fuse AS"
    " SELECT toUInt8(throwIf(e.site = 's', 'on purpose')) AS x FROM view_events AS e"
)


class Faulty:
    """An engine whose inserts fail first, before or after they are carried out."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fail_before = 0
        self.fail_after = 0
        self.surprise: Exception | None = None
        self.swallow: list[str] = []
        """What happens to tables before an answer gets lost."""
        self.blocks: list[bytes] = []
        self.tried = asyncio.Event()
        self.third_try = asyncio.Event()
        self.committed = asyncio.Event()

    async def select(self, statement: Statement) -> list[Row]:
        return await self.engine.select(statement)

    async def ask(self, statement: Statement) -> list[Row]:
        return await self.engine.ask(statement)

    async def rows_read(self, statement: Statement) -> int:
        return await self.engine.rows_read(statement)

    async def execute(self, statement: Statement) -> None:
        await self.engine.execute(statement)

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        if table != EVENTS:
            await self.engine.insert(table, columns, block, settings)
            return
        self.blocks.append(block)
        self.tried.set()
        if len(self.blocks) == 3:
            self.third_try.set()
        if self.surprise is not None:
            raise self.surprise
        if self.fail_before:
            self.fail_before -= 1
            raise Unavailable("the connection was refused")
        await self.engine.insert(table, columns, block, settings)
        if self.fail_after:
            self.fail_after -= 1
            for statement in self.swallow:
                await self.execute(Statement(f"{statement} SETTINGS mutations_sync = 2"))
            raise Unavailable("the answer got lost")
        self.committed.set()

    async def close(self) -> None:
        await self.engine.close()


class Ingestion:
    """A spool, what flushes it, and the way in; a killed one leaves its folder as a dead process does."""

    def __init__(self, engine: Faulty, redis: Redis, folder: Path, limits: Limits = LIMITS) -> None:
        self.metrics = Metrics()
        self.dead_letters = DeadLetters(folder / "dead-letters")
        self.spools = [Spool(each, limits, self.metrics.fsync_seconds.observe) for each in take(folder / "spool")]
        claims = Claims(redis, engine, folder / "missed")
        preparing = PreparingEvents(engine, claims, Numbering(engine, redis))
        versions = Versions(redis)
        fence = Fence(redis)
        self.doubts = Doubts(engine, VIEWS, fence, versions, self.metrics, self.spools[-1].folder.path)
        underway = Fence(redis, BATCHES)
        self.flusher = Flusher(
            *(engine, WRITING_EVENTS, self.spools, preparing, versions, self.dead_letters),
            *(fence, underway, self.doubts, self.metrics),
        )
        self.intake = Intake(WRITING_EVENTS, self.spools[-1], claims, self.flusher, self.metrics)

    async def append(self, events: list[Event], given: frozenset[int] = frozenset()) -> Receipt:
        """Waits for the insert."""
        return await self.intake.append(events, given, wait=True)

    async def accept(self, events: list[Event], given: frozenset[int] = frozenset()) -> Receipt:
        return await self.intake.append(events, given)

    async def close(self, seconds: float = 30) -> None:
        await self.intake.close()
        await self.flusher.close(seconds)
        for spool in self.spools:
            await spool.close()

    async def settled(self) -> None:
        while self.doubts.any:  # noqa: ASYNC110 - nothing tells of it but this
            await asyncio.sleep(0.01)

    async def emptied(self) -> None:
        while self.spools[-1].bytes:  # noqa: ASYNC110 - nothing tells of it but this
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Nothing is flushed any more."""
        await self.close(0.0)


Open = Callable[..., Ingestion]


async def totals(engine: Engine | Faulty) -> set[int]:
    """Views as raw and as every rollup has them."""
    raw = await engine.select(Statement("SELECT count() FROM view_events"))
    found = {raw[0][0]}
    for grain in GRAINS:
        sums = f"SELECT sum(views) FROM {grain.table} GROUP BY dimension_set"
        found |= {row[0] for row in await engine.select(Statement(sums))}
    return found


async def break_view(engine: Faulty) -> None:
    """Inserts of site `s` throw in a view, after raw and some rollups have them; `mend_view` ends that."""
    await engine.execute(Statement(_FUSE))
    await engine.execute(Statement(_BROKEN_VIEW))


async def mend_view(engine: Faulty) -> None:
    await engine.execute(Statement("DROP TABLE broken"))
