"""From a request to ClickHouse, for the rows of one dataset: spool, flusher, intake, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Generic

from redis.asyncio import Redis

from clickhouse.engine import Engine
from service.settings import Settings
from workers.claims import Claims
from workers.dead_letters import DeadLetters
from workers.doubt import Doubts
from workers.fence import BATCHES, Fence
from workers.flusher import Flusher
from workers.intake import Intake
from workers.metrics import Metrics
from workers.preparing import Preparing
from workers.spool.folders import take
from workers.spool.spool import Spool
from workers.versions import Versions
from workers.writing import R, Writing


@dataclass(frozen=True)
class Way(Generic[R]):
    spool: Spool
    flusher: Flusher[R]
    intake: Intake[R]


@dataclass(frozen=True)
class Ways:
    """What they have in common."""

    settings: Settings
    engine: Engine
    redis: Redis
    claims: Claims
    fence: Fence
    versions: Versions
    dead_letters: DeadLetters
    metrics: Metrics

    @asynccontextmanager
    async def open(self, writing: Writing[R], folder: str, preparing: Preparing[R]) -> AsyncIterator[Way[R]]:
        """`folder`: of the data folder, where the spools of all processes lie. Raises OSError."""
        async with AsyncExitStack() as stack:
            spools = await stack.enter_async_context(self._spools(folder))
            doubts = Doubts(
                *(self.engine, writing.dataset, self.fence, self.versions, self.metrics, spools[-1].folder.path)
            )
            flusher = Flusher(
                *(self.engine, writing, spools, preparing, self.versions, self.dead_letters),
                *(self.fence, Fence(self.redis, BATCHES), doubts, self.metrics),
            )
            stack.push_async_callback(flusher.close, self.settings.stop_seconds)
            intake = Intake(writing, spools[-1], self.claims, flusher, self.metrics)
            stack.push_async_callback(intake.close)
            yield Way(spools[-1], flusher, intake)

    @asynccontextmanager
    async def _spools(self, folder: str) -> AsyncIterator[list[Spool]]:
        """Those that dead processes left, and at last this process's own."""
        folders = await asyncio.to_thread(take, self.settings.data_dir / folder)
        spools = [Spool(one, self.settings.spool, self.metrics.fsync_seconds.observe) for one in folders]
        try:
            yield spools
        finally:
            for spool in spools:
                await spool.close()
