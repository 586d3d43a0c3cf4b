"""Answers kept for those who ask the same again, and what HTTP is told about how long they hold.

An answer about the past (closed: no event is expected there any more) holds for the setting's seconds, and any change
of its site's past voids it at once. Any other holds for OPEN_SECONDS: that late may a live view be seen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from fastapi import Request, Response

from service.analytics.parameters import Parameters
from service.analytics.ranges import Range
from service.clock import now
from service.settings import Settings
from workers.metrics import CacheResult, Metrics
from workers.versions import Versions

Body = dict[str, Any]
Compute = Callable[[], Awaitable[Body]]

# Stands in every key. To be raised with every change of what a body says or how an entry is packed: while a deployment
# is rolled out, old and new processes share a Redis and must not serve each other's answers.
FORMAT = 1

# A range is closed when it ended so long ago. Later events bump their site's version when they are older than
# workers.versions.LATE; the difference is what the clocks of two machines may lie apart.
CLOSED_AFTER = timedelta(minutes=15)

OPEN_SECONDS = 2

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "As `If-None-Match` says, nothing is new"}}

# What the defaults of parameters come from: two processes may be set differently.
_DEFAULTS = {"distinct", "api_page_size", "api_max_page_size", "performance_x_metric"}

_TAG = re.compile(r'"[^"]*"')


class Entry(NamedTuple):
    """A finished body, when its computation began (epoch seconds), and the tag of what it says."""

    computed: float
    tag: str
    body: bytes


class Cache:
    """One for a process, over the Redis that all share."""

    def __init__(self, versions: Versions, settings: Settings, metrics: Metrics) -> None:
        dsn = settings.dsn
        self._versions = versions
        self._requests = metrics.cache_requests
        self._seconds = settings.cache_ttl_seconds
        self._setting = [
            FORMAT,
            [str(dsn.path), dsn.host, dsn.port, dsn.database],
            settings.model_dump(mode="json", include=_DEFAULTS),
        ]
        self._running: dict[str, asyncio.Task[Entry]] = {}

    async def respond(self, request: Request, asked: Parameters, range_: Range, compute: Compute) -> Response:
        """The answer to `asked`, from the cache or computed; what `compute` raises is raised and not kept."""
        entry, kept = await self._entry(request, asked, range_, compute)
        if request.method != "GET":
            # RFC 9111 lets nobody answer a POST from a store, and RFC 9110 has no 304 for it.
            return Response(entry.body, media_type="application/json", headers={"Cache-Control": "no-store"})
        left = int(self._lifetime(range_, entry) - _age(entry)) if kept else 0
        # No Age header: max-age is what is left already. No Vary: the address alone chooses the answer.
        headers = {
            "Cache-Control": f"private, max-age={left}" if left > 0 else "private, no-cache",
            # Weak: an answer computed again says the same with another as_of.
            "ETag": f"W/{entry.tag}",
        }
        if _has(request, entry.tag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(entry.body, media_type="application/json", headers=headers)

    async def _entry(self, request: Request, asked: Parameters, range_: Range, compute: Compute) -> tuple[Entry, bool]:
        """And whether it may be kept."""
        if not self._seconds or asked.explain:
            self._requests.labels(CacheResult.BYPASS).inc()
            return await _computed(range_, compute), False
        key = self._key(request, asked)
        # Before the computation: what is changed while it runs leaves its result under a version that is gone.
        found = await self._versions.find(asked.site, key)
        if found is None:
            self._requests.labels(CacheResult.BYPASS).inc()
            return await _computed(range_, compute), False
        if found.value is not None:
            entry = msgspec.msgpack.decode(found.value, type=Entry)
            if self._lifetime(range_, entry) > _age(entry):
                self._requests.labels(CacheResult.HIT).inc()
                return entry, True
        self._requests.labels(CacheResult.MISS).inc()
        fill = partial(self._fill, key, found.version, range_, compute)
        return await self._once(key + found.version.hex(), fill), True

    async def _fill(self, key: str, version: bytes, range_: Range, compute: Compute) -> Entry:
        entry = await _computed(range_, compute)
        left = self._lifetime(range_, entry) - _age(entry)
        await self._versions.put(key, version, msgspec.msgpack.encode(entry), left)
        return entry

    async def _once(self, key: str, fill: Callable[[], Coroutine[Any, Any, Entry]]) -> Entry:
        """Who asks the same meanwhile waits for the same answer; who hangs up ends it for nobody else."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(fill())
            task.add_done_callback(lambda _: self._running.pop(key))
        return await asyncio.shield(task)

    def _lifetime(self, range_: Range, entry: Entry) -> float:
        """Seconds from the computation on. Asked of the entry's own time: a range may have closed since."""
        closed = range_.end is not None and (range_.end + CLOSED_AFTER).timestamp() <= entry.computed
        return self._seconds if closed else min(self._seconds, OPEN_SECONDS)

    def _key(self, request: Request, asked: Parameters) -> str:
        """All a body follows from but data and time; by GET and by POST the same."""
        question = [
            *self._setting,
            str(request.url.replace(query="")),  # `next` and `previous` begin with it
            asked.address(),  # and go on with what was given, defaults left out
            asked.model_dump(mode="json"),
        ]
        return f"readership:answer:{_digest(question)}"


async def _computed(range_: Range, compute: Compute) -> Entry:
    body = await compute()
    said = body | {"meta": {name: value for name, value in body["meta"].items() if name != "as_of"}}
    return Entry(range_.now.timestamp(), f'"{_digest(said)}"', msgspec.json.encode(body))


def _age(entry: Entry) -> float:
    """Seconds; none where another machine's clock is ahead."""
    return max(0.0, now().timestamp() - entry.computed)


def _has(request: Request, tag: str) -> bool:
    """The client names what it would be sent: weak comparison, as `If-None-Match` wants it."""
    named = ",".join(request.headers.getlist("if-none-match"))
    return named.strip() == "*" or tag in _TAG.findall(named)


def _digest(value: Any) -> str:
    return blake2b(msgspec.json.encode(value), digest_size=16).hexdigest()
