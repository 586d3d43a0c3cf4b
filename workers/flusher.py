"""From accepted events to committed rows: concurrent requests become one frozen batch, inserted once.

The order is collect → drop what is known → fill in authors → number blogs → freeze → journal → insert → answer.
`append` returns when the events are in ClickHouse, raw and every rollup. The spool takes the place of `_waiting` in
its own issue: then `append` returns when the events are fsynced, and the rest of this file stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from clickhouse.blogs import Blog, find_blogs
from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.events import Block, Event, freeze, insert, known_ids
from workers.journal import Journal
from workers.numbering import Numbering
from workers.versions import Versions, stale_sites

logger = logging.getLogger(__name__)

# One block stays one part per table: far below min_insert_block_size_rows (1,048,449) and _bytes (256 MB).
MAX_BATCH_ROWS = 100_000

# Events held in memory while one batch is on its way; at about 1 kB an event half a gigabyte.
MAX_WAITING_ROWS = 500_000

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
    """One batch in flight at a time: what arrives meanwhile is the next one (group commit).

    A batch whose outcome is unknown stands before all others until ClickHouse has it, in this process or the next.
    """

    def __init__(self, engine: Engine, journal: Journal, numbering: Numbering, versions: Versions) -> None:
        self._engine = engine
        self._numbering = numbering
        self._versions = versions
        self._journal = journal
        self._unresolved = deque(journal.begun())
        self._events: dict[str, list[Event]] = {}  # of unresolved batches, by token; not of those left by a process
        self._waiting: deque[_Request] = deque()
        self._rows = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="flusher")

    async def append(self, events: list[Event], given_ids: frozenset[int]) -> Receipt:
        """Returns when the events are committed in raw and in every rollup.

        Raises:
            NotStored: after all retries, too many events wait already, or the service is stopping.
            ClickHouseError: a look-up before the insert failed; nothing was stored.
        """
        if self._closing:
            raise NotStored("the service is stopping")
        if self._rows + len(events) > MAX_WAITING_ROWS:
            raise NotStored(f"{self._rows} events wait already")
        request = _Request(events, given_ids)
        self._waiting.append(request)
        self._rows += len(events)
        self._wake.set()
        return await request.answer

    async def close(self) -> None:
        """Flushes what is waiting, then stops; what ClickHouse does not take now is left to the next start."""
        self._closing = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while not self._closing or self._waiting:
            if self._waiting:
                await self._serve(self._collect())
            elif self._unresolved:
                await self._retry_unresolved()
            else:
                await self._wake.wait()
            self._wake.clear()

    async def _serve(self, requests: list[_Request]) -> None:
        try:
            await self._flush(requests)
        except Exception as fault:
            error = NotStored(f"the disk refuses: {fault}") if isinstance(fault, OSError) else fault
            # ClickHouse being away, those behind these would wait as long again, each in turn, for the same answer.
            behind = self._collect_all() if isinstance(error, NotStored) else []
            for request in requests + behind:
                if not request.answer.done():
                    request.answer.set_exception(error)

    async def _retry_unresolved(self) -> None:
        try:
            await self._resolve()
        except (NotStored, OSError) as error:
            logger.error("%d batches are not stored yet: %s", len(self._unresolved), error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RETRY_DELAYS[-1])

    def _collect(self) -> list[_Request]:
        """Whole requests up to MAX_BATCH_ROWS; a request larger than that is a batch of its own."""
        taken: list[_Request] = []
        rows = 0
        while self._waiting and (not taken or rows + len(self._waiting[0].events) <= MAX_BATCH_ROWS):
            taken.append(self._waiting.popleft())
            rows += len(taken[-1].events)
        self._rows -= rows
        return taken

    def _collect_all(self) -> list[_Request]:
        taken = list(self._waiting)
        self._waiting.clear()
        self._rows = 0
        return taken

    async def _flush(self, requests: list[_Request]) -> None:
        # First: only then do look-ups see every event of an earlier batch in raw and in every rollup alike.
        await self._resolve()
        seen = await self._known(requests)
        kept = [_unseen(request, seen) for request in requests]
        batch = await self._with_authors([event for events in kept for event in events])
        if batch:
            numbers = await self._numbering.of((event.site, event.blog_id) for event in batch)
            block = freeze(str(uuid4()), batch, numbers)
            await asyncio.to_thread(self._journal.begin, block)
            self._events[block.token] = batch
            self._unresolved.append(block)
            await self._resolve()
        for request, events in zip(requests, kept, strict=True):
            # A client that hung up has cancelled its future; its events are counted all the same.
            if not request.answer.done():
                request.answer.set_result(Receipt(len(events), len(request.events) - len(events)))

    async def _resolve(self) -> None:
        """Commits the batches that were begun, in order; those that fail stay."""
        while self._unresolved:
            await self._insert(self._unresolved[0])
            done = self._unresolved.popleft()
            # Before the journal forgets it, and by the clock after the insert: what was asked meanwhile is covered.
            await self._versions.bump(stale_sites(self._events.pop(done.token, None), time.time_ns() // 1_000_000))
            await asyncio.to_thread(self._journal.end, done.token)

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
                if delay is None or self._closing:
                    raise NotStored(str(error)) from error
                logger.warning("batch %s failed, trying again: %s", block.token, error)
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
