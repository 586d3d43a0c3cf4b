"""An engine that fails when told to, and processes that ingest into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from clickhouse.engine import Engine
from clickhouse.migrate import migrate
from tests.ingestion.opened import Faulty, Ingestion, Open
from workers import flusher as module


@pytest.fixture
async def faulty(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.01, 0.01))
    await migrate(engine)
    return Faulty(engine)


@pytest.fixture
async def open_ingestion(faulty: Faulty, redis_url: str, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Ingestion] = []
    async with Redis.from_url(redis_url) as redis:

        def open_(**given: Any) -> Ingestion:
            opened.append(Ingestion(faulty, redis, tmp_path, **given))
            return opened[-1]

        yield open_
        for one in opened:
            await one.close()


@pytest.fixture
async def ingestion(open_ingestion: Open) -> Ingestion:
    return open_ingestion()
