"""A Valkey for these tests alone, and processes that claim."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from tests.claims.processes import NewClaims, process
from workers import patience
from workers.claims import Claims
from workers.queue import open_queue


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 30)  # a busy machine is no Redis that is away
    monkeypatch.setattr(patience, "PAUSE", 0)


@pytest.fixture(scope="module")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:
    """One of their own: other tests would not like FLUSHALL."""
    async with open_queue(None, tmp_path_factory.mktemp("claims")) as redis:
        yield redis


@pytest.fixture
async def redis(valkey: Redis) -> Redis:
    await valkey.flushall()
    await valkey.script_flush()
    return valkey


@pytest.fixture
def start(redis: Redis, tmp_path: Path) -> NewClaims:
    """Starts a process: each has a folder of its own."""

    def started() -> Claims:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        return process(redis, folder)

    return started
