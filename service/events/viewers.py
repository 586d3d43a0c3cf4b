"""Viewers whom the client does not name: a private id that is good for one day and for one site.

The id is a keyed hash of address and user agent; the key is random, lives in Redis for two days at most and is
never written elsewhere, so nobody can go back from a viewer to a person, or join two days of one.
Distinct viewers over several such days therefore add up days, not people.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import date, timedelta
from hashlib import blake2b

from redis.asyncio import Redis
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_LIFETIME = timedelta(hours=48)

# Of a 64-bit hash 48 bits are kept: 6 bytes a row and not 8, and 0.2 of 10 million viewers share theirs with another.
VIEWER_BITS = 2**48 - 1


class DailySalt:
    """The key of each UTC day, the same for all processes that share a Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._day: date | None = None
        self._salt = b""
        self._asking = asyncio.Lock()

    async def of(self, day: date) -> bytes:
        """32 random bytes. With Redis away a key of this process alone: viewers may count twice that day."""
        if day != self._day:
            # The first requests of a day come together: they wait for one answer and share it.
            async with self._asking:
                if day != self._day:
                    self._salt = await self._shared(day)
                    self._day = day
        return self._salt

    async def _shared(self, day: date) -> bytes:
        fresh = secrets.token_bytes(32)
        key = f"readership:viewer-salt:{day.isoformat()}"
        try:
            await self._redis.set(key, fresh, nx=True, ex=_LIFETIME)
            return await self._redis.get(key) or fresh
        except (RedisError, OSError) as error:
            logger.warning("no shared viewer salt, Redis is away: %s", error)
            return fresh


def anonymous_viewer(salt: bytes, site: str, address: str, user_agent: str) -> int:
    """48 bits, stable within the salt's day."""
    digest = blake2b(f"{site}\0{address}\0{user_agent}".encode("utf-8", "surrogateescape"), digest_size=8, key=salt)
    return int.from_bytes(digest.digest(), "little") & VIEWER_BITS
