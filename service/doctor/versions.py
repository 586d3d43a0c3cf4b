"""Which versions run together."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import version

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.statement import Statement

_PATIENCE = 5  # seconds


class Versions(BaseModel):
    """None: it does not answer."""

    readership: str
    python: str
    clickhouse: str | None
    redis: str | None


async def versions(engine: Engine, redis: Redis) -> Versions:
    clickhouse, queue = await asyncio.gather(_clickhouse(engine), _redis(redis))
    return Versions(
        readership=version("readership"), python=platform.python_version(), clickhouse=clickhouse, redis=queue
    )


async def _clickhouse(engine: Engine) -> str | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            rows = await engine.select(Statement("SELECT version()"))
    except (ClickHouseError, TimeoutError):
        return None
    return str(rows[0][0])


async def _redis(redis: Redis) -> str | None:
    """Of a Valkey its own, not that of the Redis it stands in for."""
    try:
        told = await redis.info("server")
    except (RedisError, OSError):
        return None
    return str(told.get("valkey_version", told["redis_version"]))
