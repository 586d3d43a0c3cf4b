"""Gives each blog its number when its first event comes, so that no two processes give different ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import blake2b

from redis.asyncio import Redis

from clickhouse.blogs import Key
from clickhouse.engine import Engine
from clickhouse.errors import Unavailable
from clickhouse.numbers import find_numbers, keep_numbers, next_numbers
from workers.lease import Away, LeaseError, lease

logger = logging.getLogger(__name__)

# Dense numbers lie below, those made from a hash above.
_HASHED = 2**31

# About 200 bytes each.
_REMEMBERED = 1_000_000

# Seconds for others to be done, which takes them 20 ms each, and a killed one the rest of its lease.
_WAIT = 60


class Numbering:
    """The numbers this process knows. Numbers never change, so what is remembered stays true."""

    def __init__(self, engine: Engine, redis: Redis) -> None:
        self._engine = engine
        self._redis = redis
        self._known: dict[Key, int] = {}

    async def of(self, blogs: Iterable[Key]) -> dict[Key, int]:
        """The number of every given (site, blog_id); those seen for the first time get one. One call at a time.

        Raises ClickHouseError.
        """
        numbers = {key: self._known.get(key) for key in blogs}
        unknown = [key for key, number in numbers.items() if number is None]
        if unknown:
            found = await find_numbers(self._engine, unknown)
            new = sorted(key for key in unknown if key not in found)
            if new:
                found |= await self._give(new)
            self._remember(found)
            numbers |= found
        return {key: number for key, number in numbers.items() if number is not None}

    async def _give(self, new: list[Key]) -> dict[Key, int]:
        try:
            async with lease(self._redis, "readership:blog-numbers", _WAIT):
                # Again, alone now: another process may have been quicker.
                found = await find_numbers(self._engine, new)
                following = await next_numbers(self._engine, {site for site, _ in new}, below=_HASHED)
                given: dict[Key, int] = {}
                for key in new:
                    if key not in found:
                        given[key] = following[key[0]]
                        following[key[0]] += 1
                return found | await self._kept(given)
        except Away as error:
            # The same hash in every process needs no lock. Only a process that still reaches Redis could give the
            # same blog another number at this very moment; that blog would then count twice until a rebuild.
            logger.warning("numbers of %d new blogs are hashed: %s", len(new), error)
            return await self._kept({key: _HASHED | _hash(key) for key in new})
        except LeaseError as error:
            raise Unavailable(str(error)) from error

    async def _kept(self, given: dict[Key, int]) -> dict[Key, int]:
        if given:
            await keep_numbers(self._engine, given)
        return given

    def _remember(self, numbers: dict[Key, int]) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known |= numbers


def _hash(key: Key) -> int:
    """31 bits: among a thousand blogs numbered while Redis is away, two collide once in 4,000 outages."""
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=4).digest(), "little") % _HASHED
