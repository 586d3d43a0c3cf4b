"""The queue and cache: a Redis of the deployment's, or a private Valkey beside the embedded ClickHouse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from workers.valkey import PATIENCE, private_valkey


@asynccontextmanager
async def open_queue(url: str | None, folder: Path) -> AsyncIterator[Redis]:
    """A client of the Redis at `url`; without one, of a Valkey started here and stopped on the way out.

    The private server listens on a unix socket under `folder` alone and keeps an append-only file there.

    Raises:
        ValkeyUnavailable: the private server does not start. A Redis that is away shows in its first call.
    """
    if url is not None:
        client = Redis.from_url(url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
        try:
            yield client
        finally:
            await client.aclose()
    else:
        async with private_valkey(folder) as client:
            yield client
