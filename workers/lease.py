"""A lock in Redis that its holder renews, and that runs out when the holder dies.

LeaseError
├── Away     Redis does not answer; nothing was begun
├── Taken    somebody else held it for as long as one may wait; nothing was begun
└── Lost     it could not be renewed: what was done last may have met others
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.patience import within

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds: so long a killed holder keeps the others waiting. Renewed every third of it, and after one that failed again
# and again.
LEASE = 10.0

# Seconds for one exchange, which takes below a millisecond.
PATIENCE = 0.5

# Seconds between two looks whether it is free: what is done under a lease takes a tenth of a second and more.
_POLL = 0.05


class LeaseError(Exception):
    """Base of what a lease raises."""


class Away(LeaseError):
    """Redis does not answer; try later."""


class Taken(LeaseError):
    """Somebody else is at it; try later."""


class Lost(LeaseError):
    """The lease ended before the work did; the work was cancelled and has to be begun again."""


_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@asynccontextmanager
async def lease(redis: Redis, name: str, wait: float) -> AsyncIterator[None]:
    """Nobody else has `name` while the body runs; waits `wait` seconds for it.

    Raises:
        Away, Taken: the body did not run.
        Lost: the body was cancelled where it waited; a statement it had sent may still be carried out.
    """
    token = secrets.token_hex(16)
    since = await _acquire(redis, name, token, wait)
    try:
        async with asyncio.timeout(None) as body:
            renewal = asyncio.create_task(_renew(redis, name, token, since, body))
            try:
                yield
            finally:
                renewal.cancel()
                with suppress(asyncio.CancelledError):
                    await renewal
                await _release(redis, name, token)
    except TimeoutError:
        if body.expired():
            raise Lost(f"{name} was lost") from None
        raise


async def exchange(answer: Awaitable[T]) -> T:
    """What Redis answers within PATIENCE. Raises Away."""
    try:
        async with within(PATIENCE):
            return await answer
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        raise Away(f"Redis is away: {str(error) or type(error).__name__}") from error


async def run(redis: Redis, script: str, *keys_and_arguments: str | int, keys: int = 1) -> int:
    """The whole number a script returns. Raises Away."""
    # The stubs know the answer of both clients, the blocking one and this.
    answer = cast("Awaitable[Any]", redis.eval(script, keys, *map(str, keys_and_arguments)))
    return int(await exchange(answer))


async def _acquire(redis: Redis, name: str, token: str, wait: float) -> float:
    """The moment from which on it is held, by time.monotonic()."""
    deadline = time.monotonic() + wait
    while True:
        asked = time.monotonic()
        if await exchange(redis.set(name, token, nx=True, px=int(LEASE * 1000))):
            return asked
        if asked > deadline:
            raise Taken(f"{name} was not free for {wait:g} seconds")
        await asyncio.sleep(_POLL)


async def _renew(redis: Redis, name: str, token: str, since: float, body: asyncio.Timeout) -> None:
    """Ends the body when the lease is not ours any more, or will not be by the time that is known."""
    pause = LEASE / 3
    while (left := since + LEASE - PATIENCE - time.monotonic()) > pause:
        await asyncio.sleep(pause)
        asked = time.monotonic()
        try:
            # By the clock, whatever the loop is busy with: others go by it.
            async with asyncio.timeout(left - pause):
                if not await run(redis, _RENEW, name, token, int(LEASE * 1000)):
                    break
        except (Away, TimeoutError):
            pause = PATIENCE
        else:
            since, pause = asked, LEASE / 3
    body.reschedule(asyncio.get_running_loop().time())


async def _release(redis: Redis, name: str, token: str) -> None:
    try:
        await run(redis, _RELEASE, name, token)
    except Away as error:
        logger.warning("%s was not released and runs out in %g seconds: %s", name, LEASE, error)
