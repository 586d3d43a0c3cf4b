"""How long to wait for a Redis that is a help and no need: half a second once, then five seconds of doing without."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds for one exchange, which takes below a millisecond; after one that failed Redis is left alone for PAUSE.
PATIENCE = 0.5
PAUSE = 5.0

_SILENCE = 60.0  # seconds between two lines of log

# What is waited is waited in so many parts, each begun when the loop has seen the end of the one before: between two of
# them it reads what has come. An answer takes 3 such looks, one that begins with a connection 15.
_PARTS = 20


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError when the body takes longer, not counting what the event loop was busy with other things.

    A busy loop sees the time before it reads the answer that has come: by the clock alone, a service that was short of
    CPU took Redis to be away, and did without it what takes more CPU.
    """
    loop = asyncio.get_running_loop()
    handle: asyncio.Handle

    def wait(parts: int) -> None:
        nonlocal handle
        if parts:
            handle = loop.call_later(seconds / _PARTS, wait, parts - 1)
        else:
            body.reschedule(loop.time())

    wait(_PARTS)
    async with asyncio.timeout(None) as body:
        try:
            yield
        finally:
            handle.cancel()


class Patience:
    """One for each use of Redis: while it is away, one exchange in PAUSE waits and the others are not tried."""

    def __init__(self, consequence: str) -> None:
        """`consequence` is what the log says follows from Redis being away."""
        self._consequence = consequence
        self._away_until = -math.inf
        self._silent_until = -math.inf

    async def ask(self, exchange: Callable[[], Awaitable[T]]) -> T | None:
        """What the exchange returns; None: Redis did not answer, now or a moment ago. Whether it heard is unknown."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with within(PATIENCE):
                return await exchange()
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            now = time.monotonic()
            self._away_until = now + PAUSE
            if now >= self._silent_until:
                self._silent_until = now + _SILENCE
                logger.warning("%s, Redis is away: %s", self._consequence, str(error) or type(error).__name__)
            return None
