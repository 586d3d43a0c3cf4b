"""Which event_ids were accepted in the last 24 hours, by any process: the first owner that claims an id has it.

When to claim: after the record is fsynced and before it is answered. The owner is the record's identity, so a claim
can be made again after a crash, and gives the same verdict as long as Redis keeps what it was told.

When to claim again, with the same owner:
- records that wait, after a start, before anything new is accepted; those of batches begun already as well, whose
  verdict is of no use any more: it is others that have to hear of them;
- a record about to be flushed, if `Claimed.standing.era` is not the era of now: Redis has lost what it knew.

What is guaranteed while Redis answers: of all records that hold an id, one owner alone is told that it is its own.
Where one process does not reach Redis its ids are not known to the others: an id sent to two processes is found by
the look-up in ClickHouse alone, thus counted twice if it was sent to both within the seconds before the first is
committed, or while the other still vouches for it, which ends with the next exchange of the process that was cut off.
Nothing is ever lost for that: an id is reported as a duplicate only where another owner holds it.

The marker `readership:ids` says since when Redis has known all; it is what allows to skip the look-up in ClickHouse.
- Redis lost everything (FLUSHALL, a restart without persistence): the marker is gone with it, and the first script
  to find that makes it anew, in the same breath as it claims.
- Redis was restarted: it has another run_id. A restart also empties its cache of scripts, so the first exchange is
  refused (NOSCRIPT) and repeated as an EVAL, which looks at the run_id. Claims may be missing even from an append-only
  file (one of ten killed at full load lacked 9,500 of 10,000), unless the last process said in `close`
  that nothing follows. Not detected: a power cut that takes service and Redis in the two seconds after such a restart.
- A process had to accept ids without Redis: it raises the marker with its next exchange. That it must is noted in a
  file, which outlives it.
- Redis may drop keys (a maxmemory with another policy than noeviction): nothing vouches for anything, the log says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha1
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from clickhouse.arrivals import any_received
from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.events import RETRY_WINDOW
from workers.debt import Debt
from workers.patience import Patience
from workers.wanted import PORTION, Portion, Wanted, portions, tag

logger = logging.getLogger(__name__)

_MARKER = "readership:ids"

_MS = timedelta(milliseconds=1)

# Milliseconds the clocks of two machines, Redis's among them, may lie apart.
SKEW = timedelta(minutes=5) // _MS

# An id is kept until the third full slot after its own has passed: 25.5 to 34 hours. Fewer and longer slots keep more,
# shorter ones cost more look-ups. An id takes 54 bytes in a hash (Valkey 9), 118 as a key of its own with its expiry.
SLOT = timedelta(hours=8.5) // _MS
SLOTS = 4

# Milliseconds that an id may be kept at most.
KEPT = (SLOTS + 1) * SLOT + 2 * SKEW

# Milliseconds from receipt to claim within which what is kept reaches back RETRY_WINDOW from the receipt.
LATEST = (SLOTS - 1) * SLOT - RETRY_WINDOW // _MS - 2 * SKEW

_NEVER = 2**63 - 1

_LOOK, _CLOSE = 1, 2


class Standing(NamedTuple):
    """What Redis knew at a moment. `since` and `now` are epoch ms; 0: it has known all ids of all time that matter."""

    since: int
    era: bytes
    now: int

    def vouches_for(self, received_at: int, claimed_at: int) -> bool:
        """Whether an id that no other owner held at `claimed_at` (Claimed.standing.now) has not been accepted before.

        To be asked of the standing at the time of the flush, for records whose claim is of the same era.
        """
        return self.since <= received_at - RETRY_WINDOW // _MS and claimed_at - received_at <= LATEST


class Claimed(NamedTuple):
    """For each request the positions in its `ids` that another owner holds, and what that verdict is worth."""

    held: list[frozenset[int]]
    standing: Standing


class Claims:
    """One for a process. No method raises.

    A claim of one id takes 0.1 ms of the event loop (a PING 0.05), 500 requests of one id 2 µs each, 5,000 ids of one
    request 0.2 µs each; of Valkey 0.07 ms and 2 µs an id.
    """

    def __init__(self, redis: Redis, engine: Engine, missed: Path) -> None:
        """`missed` exists while Redis has to hear of ids that were accepted without it; its folder must exist."""
        self._redis = redis
        self._engine = engine
        self._patience = Patience("event_ids of other processes are not known")
        self._script = (files("workers") / "claims.lua").read_bytes()
        self._digest = sha1(self._script, usedforsecurity=False).hexdigest()
        self._debt = Debt(missed)
        self._era = b""
        self._evicts = False

    async def claim(self, wanted: Sequence[Wanted]) -> Claimed | None:
        """One exchange for every 2,500 ids (PORTION). None: Redis did not answer, nobody knows, and that is noted.

        A call that is cancelled has claimed nothing for sure and noted nothing: claim again.
        """
        held: dict[int, set[int]] = {}
        standings = []
        for portion in portions(wanted):
            answer = await self._exchange(portion)
            if answer is None:
                await self._debt.add()
                return None
            standing, positions = answer
            standings.append(standing)
            for request, position in portion.places(positions):
                held.setdefault(request, set()).add(position)
        none: frozenset[int] = frozenset()
        # Of the first portion: had Redis lost it since, its era says so.
        return Claimed([frozenset(held[i]) if i in held else none for i in range(len(wanted))], standings[0])

    async def forget(self, ids: Sequence[tuple[str, bytes]]) -> None:
        """Whoever claims these (site, event_id) next has them; done without where Redis is away."""
        for site in {site for site, _ in ids}:
            await self._patience.ask(partial(forget, self._redis, site, [id_ for one, id_ in ids if one == site]))

    async def standing(self) -> Standing | None:
        """What Redis knows now; None: it does not answer."""
        answer = await self._exchange(next(portions(())), _LOOK)
        return answer[0] if answer else None

    async def close(self) -> None:
        """After the last claim: a Redis that is stopped now has kept all of them, if it has an append-only file."""
        await self._exchange(next(portions(())), _CLOSE)

    async def _exchange(self, portion: Portion, look: int = 0) -> tuple[Standing, list[int]] | None:
        # Asked at the first exchange alone: who has claimed before knows that there were ids.
        fresh = not self._era and not self._debt.amount and await self._nothing_received()
        owed = self._debt.amount
        answer = await self._patience.ask(partial(self._run, portion.packed(), owed > 0, fresh, look))
        if answer is None:
            return None
        since, self._era, now, evicts, *positions = answer
        if owed:
            await self._debt.pay(owed)
        self._warn(evicts == b"1")
        return Standing(_NEVER if self._evicts else int(since), self._era, int(now)), positions

    async def _run(self, packed: bytes, owed: bool, fresh: bool, look: int) -> list[Any]:
        marker_and_more = (1, _MARKER, packed, int(owed), self._era, int(fresh))
        limits = (SLOT, SLOTS, SKEW)
        ask: Callable[..., Awaitable[list[Any]]] = self._redis.execute_command
        try:
            return await ask("EVALSHA", self._digest, *marker_and_more, look, *limits)
        except NoScriptError:
            # A Redis that was never asked, or another one than before. EVAL also stores the script, so no process
            # gets past this line before one of them has looked.
            return await ask("EVAL", self._script, *marker_and_more, look or _LOOK, *limits)

    async def _nothing_received(self) -> bool:
        """False as well where nobody can tell."""
        since = time.time_ns() // 1_000_000 - RETRY_WINDOW // _MS - SKEW
        try:
            async with asyncio.timeout(1):
                return not await any_received(self._engine, since)
        except (ClickHouseError, TimeoutError):
            return False

    def _warn(self, evicts: bool) -> None:
        if evicts and not self._evicts:
            logger.warning(
                "Redis may drop keys to make room: event_ids are looked up in ClickHouse as well;"
                " set maxmemory-policy noeviction, or maxmemory 0"
            )
        self._evicts = evicts


async def forget(redis: Redis, site: str, ids: Sequence[bytes]) -> None:
    """Whoever claims these ids of a site next has them. Raises RedisError, OSError."""
    seconds, _ = await redis.time()
    slot = seconds * 1000 // SLOT
    keys = [b"%s:%s:%d" % (_MARKER.encode(), tag(site), slot - back) for back in range(SLOTS)]
    for start in range(0, len(ids), PORTION):
        async with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hdel(key, *ids[start : start + PORTION])  # type: ignore[arg-type]  # the stubs know text alone
            await pipeline.execute()
