"""The way in: a request's rows go to the spool; its client hears which of them were known already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol

from workers.claims import Claims
from workers.flusher import Flusher
from workers.metrics import Metrics, Unavailability
from workers.preparing import Verdict, owner
from workers.spool.spool import NotTaken, Spool
from workers.wanted import Wanted
from workers.writing import R, Writing

logger = logging.getLogger(__name__)

# Seconds a client that wants to hear of the insert is left waiting for a ClickHouse that is away.
PATIENCE = 30


class Receipt(NamedTuple):
    """What became of a request's events. `stored`: they are in ClickHouse; None where nobody waited for that."""

    accepted: int
    duplicates: int
    shared: bool
    """Whether the ids were compared with those of all processes; False: Redis is away."""
    stored: bool | None = None


class Rows(Protocol[R]):
    """Where accepted rows go."""

    async def append(self, events: list[R], given_ids: frozenset[int], *, wait: bool = False) -> Receipt:
        """Returns when the events will be counted whatever happens, with `wait` when they are; `given_ids` index
        those with a client's id."""
        ...


class _Claim(NamedTuple):
    wanted: Wanted
    verdict: asyncio.Future[Verdict | None]


class Intake(Generic[R]):
    """One for a process and dataset, over its own spool."""

    def __init__(
        self, writing: Writing[R], spool: Spool, claims: Claims, flusher: Flusher[R], metrics: Metrics
    ) -> None:
        self._writing = writing
        self._taken = metrics.taken[writing.dataset.name]
        self._spool = spool
        self._claims = claims
        self._flusher = flusher
        self._metrics = metrics
        self._pending: list[_Claim] = []
        self._claiming: asyncio.Task[None] | None = None
        self._closing = False

    async def append(self, events: list[R], given_ids: frozenset[int], *, wait: bool = False) -> Receipt:
        """Returns when the events are on disk; with `wait` when they are in ClickHouse, or PATIENCE is over.

        Raises:
            NotTaken: nothing was taken.
        """
        try:
            receipt = await self._take(events, given_ids, wait=wait)
        except NotTaken as refusal:
            self._metrics.requests_unavailable.labels(refusal.reason).inc()
            raise
        self._taken.accepted.inc(receipt.accepted)
        if receipt.duplicates:
            self._taken.duplicate.inc(receipt.duplicates)
        if not receipt.shared:
            self._metrics.acknowledged_undeduplicated.inc()
        return receipt

    async def _take(self, events: list[R], given_ids: frozenset[int], *, wait: bool) -> Receipt:
        if self._closing:
            raise NotTaken(Unavailability.STOPPING, "the service is stopping")
        new, given = _once(events, given_ids)
        numbers: list[int] = []
        stored = asyncio.get_running_loop().create_future() if wait else None

        def taken(number: int) -> None:
            numbers.append(number)
            self._flusher.expect(number, len(new), stored)

        await self._spool.append(len(new), new[0].received_at, self._writing.pack(new, given), taken)
        ids = [(new[position].site, new[position].id) for position in given]
        held = await self._claim(numbers[0], ids) if ids else frozenset[int]()
        duplicates = len(events) - len(new) + len(held or ())
        if stored is None:
            return Receipt(len(events) - duplicates, duplicates, held is not None)
        counted = await _within(PATIENCE, stored)
        if counted is not None:
            duplicates = len(events) - counted
        return Receipt(len(events) - duplicates, duplicates, held is not None, counted is not None)

    async def close(self) -> None:
        """Takes nothing more; what is on its way gets its answer."""
        self._closing = True
        while self._claiming is not None:
            await asyncio.wait([self._claiming])

    async def _claim(self, number: int, ids: Sequence[tuple[str, bytes]]) -> frozenset[int] | None:
        """Requests that come while others are asked about are the next question to Redis."""
        wanted = Wanted(owner(self._spool.folder.name, number), ids)
        claim = _Claim(wanted, asyncio.get_running_loop().create_future())
        self._pending.append(claim)
        if self._claiming is None:
            self._claiming = asyncio.create_task(self._ask())
        verdict = await asyncio.shield(claim.verdict)
        if verdict is None:
            return None
        self._flusher.judged(number, verdict)
        return verdict.held

    async def _ask(self) -> None:
        try:
            while self._pending:
                asked, self._pending = self._pending, []
                claimed = None
                try:
                    claimed = await self._claims.claim([claim.wanted for claim in asked])
                except Exception:
                    logger.exception("event_ids are not claimed for a fault of ours")
                for number, claim in enumerate(asked):
                    claim.verdict.set_result(claimed and Verdict(claimed.held[number], claimed.standing))
        finally:
            self._claiming = None


def _once(events: list[R], given_ids: frozenset[int]) -> tuple[list[R], list[int]]:
    """The events without those that repeat an id of the same request, and which of them have a client's id."""
    if len(given_ids) < 2:
        return events, sorted(given_ids)
    keys = {(events[position].site, events[position].id) for position in given_ids}
    if len(keys) == len(given_ids):
        return events, sorted(given_ids)
    new: list[R] = []
    given: list[int] = []
    for position, event in enumerate(events):
        if position in given_ids:
            key = (event.site, event.id)
            if key not in keys:
                continue
            keys.remove(key)
            given.append(len(new))
        new.append(event)
    return new, given


async def _within(seconds: float, stored: asyncio.Future[int | None]) -> int | None:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(stored)
    except TimeoutError:
        return None
