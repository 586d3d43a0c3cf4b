"""Answers kept in Redis under the version of their site; replacing the version makes all that is kept void.

A version is random and never comes twice: whatever Redis loses or brings back, an answer from before a change stays
void. Redis is a help here and no need: what it does not do within half a second is done without.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from redis.asyncio import Redis

from clickhouse.events import Event
from workers.patience import Patience

T = TypeVar("T")

# Names every site at once in `bump`; no site's own name is empty.
ALL_SITES = ""

# Milliseconds: an event older than this when it is committed changes what a range in the past would answer. Answers
# count a range as past five minutes later (CLOSED_AFTER): so far may the clocks of two machines lie apart.
LATE = 10 * 60 * 1000

# Seconds a version and an answer are kept at most. A version that is gone is as good as a new one, because the answers
# kept before it was set are gone as well.
LONGEST = 24 * 3600

_BYTES = 16
_NEVER_BUMPED = bytes(_BYTES)

# Sites whose bump Redis still has to hear of; beyond, all sites are bumped instead.
_MOST_OWED = 1_000


@dataclass(frozen=True)
class Kept:
    """The site's version now, and the value put under it; None: nothing was."""

    version: bytes
    value: bytes | None


class Versions:
    """One for a process. No method raises; a bump that Redis did not hear of goes ahead of the next question."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._owed: dict[str, int] = {}
        self._bumps = itertools.count()
        self._patience = Patience("answers are not cached")

    async def bump(self, sites: Iterable[str]) -> None:
        """Voids what is kept of these sites. To be called when the change is committed, never before."""
        self._owed |= dict.fromkeys(sites, next(self._bumps))
        if len(self._owed) > _MOST_OWED:
            self._owed = {ALL_SITES: next(self._bumps)}
        if self._owed:
            await self._ask(self._settle)

    async def find(self, site: str, key: str) -> Kept | None:
        """None: Redis is away. What is computed from now on belongs under the version found here."""
        found = await self._ask(partial(self._redis.mget, [_name(ALL_SITES), _name(site), key]))
        if found is None:
            return None
        version = b"".join(part or _NEVER_BUMPED for part in found[:2])
        value = found[2]
        return Kept(version, value.removeprefix(version) if value and value.startswith(version) else None)

    async def put(self, key: str, version: bytes, value: bytes, seconds: float) -> None:
        """Keeps a value for `find`, at most so long."""
        milliseconds = int(min(seconds, LONGEST) * 1000)
        if milliseconds > 0:
            await self._ask(partial(self._redis.set, key, version + value, px=milliseconds))

    async def _ask(self, exchange: Callable[[], Awaitable[T]]) -> T | None:
        async def settled() -> T:
            await self._settle()
            return await exchange()

        return await self._patience.ask(settled)

    async def _settle(self) -> None:
        """Sends the bumps that are owed; one that was asked for again meanwhile stays owed."""
        sent = dict(self._owed)
        if not sent:
            return
        async with self._redis.pipeline(transaction=False) as pipeline:
            for site in sent:
                pipeline.set(_name(site), secrets.token_bytes(_BYTES), ex=LONGEST)
            await pipeline.execute()
        self._owed = {site: bump for site, bump in self._owed.items() if sent.get(site) != bump}


def stale_sites(events: Iterable[Event] | None, now_ms: int) -> set[str]:
    """The sites to bump for events committed by now; None: nobody knows which they were.

    `now_ms` is to be taken after the commit: only then does it cover what was asked while it ran.
    """
    if events is None:
        return {ALL_SITES}
    return {event.site for event in events if event.viewed_at < now_ms - LATE}


def _name(site: str) -> str:
    return f"readership:version:{site}"
