"""A Redis that is silent is done without; an event loop that was too busy to hear it is none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from workers.lease import PATIENCE, Away, exchange
from workers.patience import Patience


@pytest.fixture
async def silent() -> AsyncIterator[Redis]:
    """Takes connections, and never says a word."""
    told = asyncio.Event()

    async def listen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        async with Redis(port=server.sockets[0].getsockname()[1]) as redis:
            yield redis
        told.set()


async def busy(parts: int = 1) -> None:
    """Holds the loop up for longer than anybody waits; between the parts it looks what has come."""
    for _ in range(parts):
        time.sleep(1.2 * PATIENCE / parts)  # noqa: ASYNC251  # to block is what is tested
        await asyncio.sleep(0)


async def test_what_a_busy_loop_hears_late_was_said(redis: Redis) -> None:
    await redis.ping()
    answer, _ = await asyncio.gather(exchange(redis.get("nothing")), busy())
    assert answer is None


async def test_so_it_is_for_a_redis_that_is_a_help_and_no_need(redis: Redis) -> None:
    await redis.set("something", "said")
    answer, _ = await asyncio.gather(Patience("nothing follows").ask(lambda: redis.get("something")), busy())
    assert answer == b"said"


async def test_a_connection_is_made_by_a_busy_loop_too(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        answer, _ = await asyncio.gather(exchange(redis.get("nothing")), busy(parts=4))
    assert answer is None


async def test_who_never_answers_is_away(silent: Redis) -> None:
    with pytest.raises(Away, match="Redis is away"):
        await exchange(silent.get("nothing"))
    assert await Patience("nothing follows").ask(lambda: silent.get("something")) is None
