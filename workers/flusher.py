"""From accepted events to committed rows: concurrent requests become one frozen batch, inserted once.

The order is collect → fill in authors → drop what is known → freeze → insert → answer. `append` returns when the
events are in ClickHouse, raw and every rollup. The spool takes the place of `_waiting` in its own issue: then
`append` returns when the events are fsynced, and the rest of this file stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from clickhouse.blogs import Blog, find_blogs
from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.events import Block, Event, freeze, insert, known_ids

logger = logging.getLogger(__name__)

# One block stays one part per table: far below min_insert_block_size_rows (1,048,449) and _bytes (256 MB).
MAX_BATCH_ROWS = 100_000

# Seconds between tries of one batch; together they outlast a ClickHouse restart. Then the client hears 503.
RETRY_DELAYS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Receipt:
    """What became of a request's events."""

    stored: int
    duplicates: int


class NotStored(Exception):
    """The batch could not be committed; its outcome in ClickHouse is unknown. Send again with the same ids."""


class Events(Protocol):
    """Where accepted events go; the seam for the spool."""

    async def append(self, events: list[Event], given_ids: frozenset[int]) -> Receipt:
        """Returns when the events will be counted whatever happens; `given_ids` index those with a client's id."""
        ...


@dataclass
class _Request:
    events: list[Event]
    given_ids: frozenset[int]
    answer: asyncio.Future[Receipt] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Flusher:
    """One batch in flight at a time: what arrives meanwhile is the next one (group commit)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[_Request] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="flusher")

    async def append(self, events: list[Event], given_ids: frozenset[int]) -> Receipt:
        """Returns when the events are committed in raw and in every rollup.

        Raises:
            NotStored: after all retries, or the service is stopping.
            ClickHouseError: a look-up before the insert failed; nothing was stored.
        """
        if self._closing:
            raise NotStored("the service is stopping")
        request = _Request(events, given_ids)
        self._waiting.append(request)
        self._wake.set()
        return await request.answer

    async def close(self) -> None:
        """Flushes what is waiting, then stops."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                requests = self._collect()
                try:
                    await self._flush(requests)
                except Exception as error:
                    for request in requests:
                        if not request.answer.done():
                            request.answer.set_exception(error)

    def _collect(self) -> list[_Request]:
        """Whole requests up to MAX_BATCH_ROWS; a request larger than that is a batch of its own."""
        taken = [self._waiting.popleft()]
        rows = len(taken[0].events)
        while self._waiting and rows + len(self._waiting[0].events) <= MAX_BATCH_ROWS:
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].events)
        return taken

    async def _flush(self, requests: list[_Request]) -> None:
        seen = await self._known(requests)
        kept = [_unseen(request, seen) for request in requests]
        batch = await self._with_authors([event for events in kept for event in events])
        if batch:
            await self._insert(freeze(str(uuid4()), batch))
        for request, events in zip(requests, kept, strict=True):
            # A client that hung up has cancelled its future; its events are counted all the same.
            if not request.answer.done():
                request.answer.set_result(Receipt(len(events), len(request.events) - len(events)))

    async def _known(self, requests: list[_Request]) -> set[tuple[str, bytes]]:
        given = [request.events[index] for request in requests for index in request.given_ids]
        return await known_ids(self._engine, given)

    async def _with_authors(self, events: list[Event]) -> list[Event]:
        """Events without an author get the one their blog is registered with.

        Looked up for every batch and not cached: a blog registered a moment ago, or on another replica, counts.
        """
        lacking = {(event.site, event.blog_id) for event in events if not event.author_id}
        blogs = await find_blogs(self._engine, lacking)
        if not blogs:
            return events
        return [_with_author(event, blogs) if not event.author_id else event for event in events]

    async def _insert(self, block: Block) -> None:
        """The same block with the same token until ClickHouse has it; the token makes a repeat harmless."""
        for delay in (*RETRY_DELAYS, None):
            try:
                await insert(self._engine, block)
                return
            # Refused is retried as well: a view that throws leaves raw committed, and only the same token heals that.
            except ClickHouseError as error:
                if delay is None:
                    raise NotStored(str(error)) from error
                logger.warning("batch %s (%d rows) failed, trying again: %s", block.token, block.rows, error)
                await asyncio.sleep(delay)


def _unseen(request: _Request, seen: set[tuple[str, bytes]]) -> list[Event]:
    """The request's events whose id is not in `seen`, which grows by their ids."""
    if not request.given_ids:
        return request.events
    kept = []
    for index, event in enumerate(request.events):
        if index in request.given_ids:
            key = (event.site, event.event_id)
            if key in seen:
                continue
            seen.add(key)
        kept.append(event)
    return kept


def _with_author(event: Event, blogs: dict[tuple[str, str], Blog]) -> Event:
    blog = blogs.get((event.site, event.blog_id))
    return event._replace(author_id=blog.author_id) if blog else event
