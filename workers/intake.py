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

# Rows that are packed on the event loop: of samples, whose ids are hashes, in 5 ms.
_AT_ONCE = 2_000


class Receipt(NamedTuple):
    """What became of a request's rows. `stored`: they are in ClickHouse; None where nobody waited for that."""

    accepted: int
    duplicates: int
    shared: bool
    """Whether the ids were compared with those of all processes; False: Redis is away."""
    stored: bool | None = None


class Rows(Protocol[R]):
    """Where accepted rows go."""

    async def append(self, rows: list[R], given_ids: frozenset[int], *, wait: bool = False) -> Receipt:
        """Returns when the rows will be counted whatever happens, with `wait` when they are; `given_ids` index
        those with a client's id."""
        ...


class _Packed(NamedTuple):
    """A request's rows as the spool takes them."""

    payload: bytes
    rows: int
    ids: list[tuple[str, bytes]]
    """Of the rows with a client's id."""


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

    async def append(self, rows: list[R], given_ids: frozenset[int], *, wait: bool = False) -> Receipt:
        """Returns when the rows are on disk; with `wait` when they are in ClickHouse, or PATIENCE is over.

        Raises:
            NotTaken: nothing was taken.
        """
        try:
            receipt = await self._take(rows, given_ids, wait=wait)
        except NotTaken as refusal:
            self._metrics.requests_unavailable.labels(refusal.reason).inc()
            raise
        self._taken.accepted.inc(receipt.accepted)
        if receipt.duplicates:
            self._taken.duplicate.inc(receipt.duplicates)
        if not receipt.shared:
            self._metrics.acknowledged_undeduplicated.inc()
        return receipt

    async def _take(self, rows: list[R], given_ids: frozenset[int], *, wait: bool) -> Receipt:
        if self._closing:
            raise NotTaken(Unavailability.STOPPING, "the service is stopping")
        if len(rows) <= _AT_ONCE:
            packed = self._pack(rows, given_ids)
        else:
            packed = await asyncio.to_thread(self._pack, rows, given_ids)
            if self._closing:
                raise NotTaken(Unavailability.STOPPING, "the service is stopping")
        numbers: list[int] = []
        stored = asyncio.get_running_loop().create_future() if wait else None

        def taken(number: int) -> None:
            numbers.append(number)
            self._flusher.expect(number, packed.rows, stored)

        await self._spool.append(packed.rows, rows[0].received_at, packed.payload, taken)
        held = await self._claim(numbers[0], packed.ids) if packed.ids else frozenset[int]()
        duplicates = len(rows) - packed.rows + len(held or ())
        if stored is None:
            return Receipt(len(rows) - duplicates, duplicates, held is not None)
        counted = await _within(PATIENCE, stored)
        if counted is not None:
            duplicates = len(rows) - counted
        return Receipt(len(rows) - duplicates, duplicates, held is not None, counted is not None)

    def _pack(self, rows: list[R], given_ids: frozenset[int]) -> _Packed:
        new, given, ids = _once(rows, given_ids)
        return _Packed(self._writing.pack(new, given), len(new), ids)

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
                    logger.exception("ids are not claimed for a fault of ours")
                for number, claim in enumerate(asked):
                    claim.verdict.set_result(claimed and Verdict(claimed.held[number], claimed.standing))
        finally:
            self._claiming = None


def _once(rows: list[R], given_ids: frozenset[int]) -> tuple[list[R], list[int], list[tuple[str, bytes]]]:
    """The rows without those that repeat an id of the same request; which of them have a client's id, and those ids."""
    given = sorted(given_ids)
    ids = [(rows[position].site, rows[position].id) for position in given]
    if len(set(ids)) == len(ids):
        return rows, given, ids
    first: dict[tuple[str, bytes], int] = {}
    for position, id_ in zip(given, ids, strict=True):
        first.setdefault(id_, position)
    kept = sorted({*range(len(rows))}.difference(given).union(first.values()))
    found = {position: at for at, position in enumerate(kept)}
    return [rows[position] for position in kept], [found[position] for position in first.values()], [*first]


async def _within(seconds: float, stored: asyncio.Future[int | None]) -> int | None:
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(stored)
    except TimeoutError:
        return None
