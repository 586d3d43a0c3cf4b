"""Keeps inserts and the last steps of a rebuild apart, in all processes: what a view adds to a partition while that
partition is replaced is lost (12 rebuilds under load without a fence lost 2 % of the views).

A flusher marks that it inserts; a rebuild takes the fence, so that no new mark is made, and waits until none is left.
Ingestion never stops for Redis: without it flushers go on unfenced, and rebuilds wait.

The same marks under another name say which batches are on their way at all: a deletion lets those pass by that were
prepared before anybody could know of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

from redis.asyncio import Redis

from workers.lease import LEASE, Away, Taken, exchange, lease, run

logger = logging.getLogger(__name__)

_CLOSED = "readership:{{{}}}:closed"
_FLUSHING = "readership:{{{}}}:flushing"

# The names of fences: of inserts and rebuilds, and of batches from their preparation on, which nobody closes.
INSERTS = "fence"
BATCHES = "batches"

# Seconds a rebuild waits for the others: rebuilds under the fence for some seconds each, and flushers that retry.
WAIT = 60.0
DRAIN = 30.0

# Seconds between two looks: a batch takes 30 ms and more.
_POLL = 0.02

# Seconds flushers leave a Redis alone that did not answer, and between two lines of log about it.
PAUSE = 1.0
_SILENCE = 60.0

# Marks are scored by when they run out, on the clock of Redis.
_NOW = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "
_MARK = _NOW + "return redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])"
_ENTER = _NOW + (
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end "
    "redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1]) return 1"
)
_COUNT = _NOW + "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now) return redis.call('ZCARD', KEYS[2])"
_INSIDE = _NOW + "redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now) return redis.call('ZRANGE', KEYS[2], 0, -1)"
_LEAVE = "return redis.call('ZREM', KEYS[2], ARGV[1])"


class Fence:
    """One for a process. An owner is a flusher: a name no other has, which inserts one batch at a time."""

    def __init__(self, redis: Redis, name: str = INSERTS, waited: Callable[[float], object] = lambda _: None) -> None:
        """`waited` hears how many seconds each flusher waited outside."""
        self._redis = redis
        self._waited = waited
        self._keys = _CLOSED.format(name), _FLUSHING.format(name)
        self._marked: set[str] = set()
        self._marking = asyncio.Lock()
        self._away_until = -math.inf
        self._silent_until = -math.inf

    @asynccontextmanager
    async def flushing(self, owner: str) -> AsyncIterator[None]:
        """No partition is replaced while the body inserts, however long it retries. Waits while the fence is closed.

        One exchange to enter and one to leave. Redis away: the body runs unfenced.
        """
        await self._enter(owner)
        renewal = asyncio.create_task(self._renew(owner))
        try:
            yield
        finally:
            async with self._marking:  # a renewal on its way would come after the mark was taken away
                renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
            await self._leave(owner)

    @asynccontextmanager
    async def aside(self, owner: str) -> AsyncIterator[None]:
        """The owner inserts nothing while the body runs, and nobody waits for it; then it is `flushing` as before.

        A flusher that repairs what it flushed does it inside this. With its mark left standing, two of them would each
        hold what the other waits for.
        """
        inside = owner in self._marked
        if inside:
            await self._leave(owner)
        try:
            yield
        finally:
            if inside:
                await self._enter(owner)

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Nobody inserts while the body runs; a flusher that closes the fence steps `aside` first.

        Raises:
            Away: Redis does not answer; the body did not run.
            Taken: others were inserting or rebuilding for too long; the body did not run.
            Lost: the body was cancelled.
        """
        async with lease(self._redis, self._keys[0], WAIT):
            await self._drained()
            yield

    async def passed(self) -> None:
        """Returns when all owners that are `flushing` now have left; keeps no other out.

        Raises:
            Away: Redis does not answer.
            Taken: one of them has been inside for too long.
        """
        deadline = time.monotonic() + DRAIN
        waited_for: set[bytes] | None = None
        while waited_for is None or waited_for:
            asked = cast("Awaitable[list[bytes]]", self._redis.eval(_INSIDE, 2, *self._keys))
            inside = set(await exchange(asked))
            waited_for = inside if waited_for is None else waited_for & inside
            if waited_for and time.monotonic() > deadline:
                raise Taken(f"batches have been on their way for {DRAIN:g} seconds")
            await asyncio.sleep(_POLL if waited_for else 0)

    @asynccontextmanager
    async def alone(self, work: str, wait: float = WAIT) -> AsyncIterator[None]:
        """Nobody else does this work while the body does; inserts go on. Taken before `closed`, never inside it.

        Raises Away, Taken, Lost.
        """
        async with lease(self._redis, f"readership:work:{work}", wait):
            yield

    async def _drained(self) -> None:
        """Returns when no mark is left; those of the dead run out."""
        deadline = time.monotonic() + DRAIN
        while await self._run(_COUNT):
            if time.monotonic() > deadline:
                raise Taken(f"flushers have been inserting for {DRAIN:g} seconds")
            await asyncio.sleep(_POLL)

    async def _enter(self, owner: str) -> None:
        began = time.monotonic()
        while True:
            if await self._ask(_ENTER, owner, int(LEASE * 1000)) != 0:
                break
            await asyncio.sleep(_POLL)
        self._waited(time.monotonic() - began)
        self._marked.add(owner)

    async def _leave(self, owner: str) -> None:
        async with self._marking:
            self._marked.discard(owner)
            await self._ask(_LEAVE, owner)

    async def _renew(self, owner: str) -> None:
        """Also makes the mark that could not be made while Redis was away."""
        while True:
            await asyncio.sleep(LEASE / 3)
            async with self._marking:
                if owner in self._marked:
                    await self._ask(_MARK, owner, int(LEASE * 1000))

    async def _ask(self, script: str, *arguments: str | int) -> int | None:
        """None: Redis is away."""
        now = time.monotonic()
        if now < self._away_until:
            return None
        try:
            return await self._run(script, *arguments)
        except Away as error:
            self._away_until = now + PAUSE
            if now >= self._silent_until:
                self._silent_until = now + _SILENCE
                logger.warning("batches are inserted without the fence, rebuilds wait: %s", error)
            return None

    async def _run(self, script: str, *arguments: str | int) -> int:
        return await run(self._redis, script, *self._keys, *arguments, keys=2)
