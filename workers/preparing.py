"""What a batch is made of: which events of its records are counted, by which authors, under which blog numbers."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from itertools import accumulate, pairwise
from secrets import token_hex
from typing import Generic, NamedTuple

from clickhouse import events, samples
from clickhouse.blogs import find_blogs
from clickhouse.deletion import covered
from clickhouse.engine import Engine
from clickhouse.events import RETRY_WINDOW, Event
from clickhouse.samples import Sample
from workers import batches
from workers.batches import Batch
from workers.claims import Claims, Standing
from workers.numbering import Numbering
from workers.spool.records import Record
from workers.wanted import Wanted
from workers.writing import WRITING_EVENTS, WRITING_SAMPLES, R, Row, Writing

# Milliseconds: an event may be sent so long before it is viewed (ten minutes), and clocks may lie apart.
_REMEMBERED = (RETRY_WINDOW - timedelta(minutes=15)) // timedelta(milliseconds=1)


class Verdict(NamedTuple):
    """Of the ids that a record's client chose, the positions of those that other records hold; and what Redis knew."""

    held: frozenset[int]
    standing: Standing


class Prepared(NamedTuple, Generic[R]):
    """A batch, the rows it counts, and how many those are of each of its records."""

    batch: Batch
    rows: list[R]
    counts: dict[int, int]


class About(NamedTuple):
    """What a batch says of its rows beside themselves, as workers.batches has it."""

    authors: list[tuple[str, str, str]]
    numbers: list[tuple[str, str, int]]


class Preparing(ABC, Generic[R]):
    """Look-ups before a batch is frozen. What they find may change; a frozen batch does not."""

    def __init__(self, engine: Engine, writing: Writing[R], claims: Claims) -> None:
        self._engine = engine
        self._writing = writing
        self._claims = claims

    @abstractmethod
    async def _dropped(self, rows: Sequence[R], known: set[int], given: Mapping[int, list[int]]) -> set[int]:
        """Positions of further rows that are not to be counted; `known` are. Raises ClickHouseError."""

    @abstractmethod
    async def _about(self, rows: Sequence[R]) -> About:
        """Raises ClickHouseError."""

    @abstractmethod
    def _suspects(self, rows: int) -> set[int]:
        """Positions of rows that may be stored already, whoever claimed them."""

    @abstractmethod
    async def _stored(
        self, rows: Sequence[R], suspects: Set[int], vouched: Mapping[int, bool]
    ) -> set[tuple[str, bytes]]:
        """The (site, id) that raw has, of `suspects` and of rows that were claimed; `vouched`: whether Redis says that
        these did not come in during the last day. Raises ClickHouseError."""

    async def batch(
        self, spool: str, records: Sequence[Record], verdicts: Mapping[int, Verdict], suspect_before: int = 0
    ) -> Prepared[R]:
        """`verdicts`: of the records whose ids have been claimed since this process started. Records with a number
        below `suspect_before` may be stored already; nobody knows.

        Raises:
            ClickHouseError: nothing is done yet; the same call may work later.
        """
        unpacked = await asyncio.to_thread(lambda: [self._writing.unpack(record) for record in records])
        starts = list(accumulate((len(rows) for rows, _ in unpacked), initial=0))
        rows = [row for found, _ in unpacked for row in found]
        given = {
            record.number: [start + position for position in positions]
            for record, start, (_, positions) in zip(records, starts, unpacked, strict=False)
            if positions
        }
        suspects = self._suspects(len(rows)).union(
            at
            for record, (start, end) in zip(records, pairwise(starts), strict=True)
            if record.number < suspect_before
            for at in range(start, end)
        )
        known = await self._known(spool, rows, given, verdicts, suspects)
        dropped = sorted(known | await self._dropped(rows, known, given))
        authors, numbers = await self._about(rows)
        batch = Batch(
            # Never again: should these records be read anew, because nobody knows how far the spool was flushed, other
            # rows of them may be left.
            token=f"{spool}-{records[0].number}-{token_hex(4)}",
            first=records[0].number,
            following=records[-1].number + 1,
            dropped=dropped,
            authors=authors,
            numbers=numbers,
            begun_at=time.time_ns() // 1_000_000,
            boot=batches.this_boot(),
        )
        counts = {
            record.number: end - start - (bisect_left(dropped, end) - bisect_left(dropped, start))
            for record, (start, end) in zip(records, pairwise(starts), strict=True)
        }
        return Prepared(batch, self._writing.counted(batch, rows), counts)

    async def _known(
        self,
        spool: str,
        rows: Sequence[R],
        given: Mapping[int, list[int]],
        verdicts: Mapping[int, Verdict],
        suspects: Set[int],
    ) -> set[int]:
        """Positions of rows that are counted already, or with an earlier one of this batch."""
        if not given and not suspects:
            return set()
        standing = await self._claims.standing() if given else None
        era = standing.era if standing else None
        valid = {number: one for number, one in verdicts.items() if one.standing.era == era}
        valid |= await self._claim(spool, rows, {number: at for number, at in given.items() if number not in valid})
        dropped = {given[number][position] for number, one in valid.items() for position in one.held}
        vouched = {
            at: _vouched(rows[at], valid.get(number), standing)
            for number, positions in given.items()
            for at in positions
            if at not in dropped
        }
        doubtful = suspects - dropped
        seen = await self._stored(rows, doubtful, vouched)
        for at in sorted(doubtful | vouched.keys()):
            key = (rows[at].site, rows[at].id)
            if key in seen:
                dropped.add(at)
            seen.add(key)
        return dropped

    async def _claim(self, spool: str, rows: Sequence[R], given: Mapping[int, list[int]]) -> dict[int, Verdict]:
        """For records whose client was answered by a process that is gone, or without Redis."""
        if not given:
            return {}
        wanted = [
            Wanted(owner(spool, number), [(rows[at].site, rows[at].id) for at in positions])
            for number, positions in given.items()
        ]
        claimed = await self._claims.claim(wanted)
        if claimed is None:
            return {}
        return {number: Verdict(held, claimed.standing) for number, held in zip(given, claimed.held, strict=True)}


class PreparingEvents(Preparing[Event]):
    """Events get the registered author of their blog, and their blogs numbers."""

    def __init__(self, engine: Engine, claims: Claims, numbering: Numbering) -> None:
        super().__init__(engine, WRITING_EVENTS, claims)
        self._numbering = numbering

    async def _dropped(self, rows: Sequence[Event], known: set[int], given: Mapping[int, list[int]]) -> set[int]:
        deleted = await covered(self._engine, rows)
        await self._forget(rows, [at for positions in given.values() for at in positions if at in deleted - known])
        return deleted

    async def _about(self, rows: Sequence[Event]) -> About:
        return About(await self._authors(rows), await self._numbers(rows))

    def _suspects(self, rows: int) -> set[int]:
        """None: an id that we gave nobody sends again, and of the others Redis knows."""
        return set()

    async def _stored(
        self, rows: Sequence[Event], suspects: Set[int], vouched: Mapping[int, bool]
    ) -> set[tuple[str, bytes]]:
        unsure = suspects | {at for at, sure in vouched.items() if not sure}
        # Redis vouches for the last day; what was viewed before may have been sent before: a file imported again.
        old = [at for at in vouched if at not in unsure and rows[at].received_at - rows[at].instant >= _REMEMBERED]
        seen = await events.known_ids(self._engine, [rows[at] for at in sorted(unsure)])
        return seen | await events.known_ids(self._engine, [rows[at] for at in old], lately=False)

    async def _authors(self, rows: Sequence[Event]) -> list[tuple[str, str, str]]:
        """Looked up for every batch and not remembered: a blog registered a moment ago, on any replica, counts."""
        lacking = {(row.site, row.blog_id) for row in rows if not row.author_id}
        blogs = await find_blogs(self._engine, lacking) if lacking else {}
        return [(site, blog_id, blog.author_id) for (site, blog_id), blog in blogs.items() if blog.author_id]

    async def _numbers(self, rows: Sequence[Event]) -> list[tuple[str, str, int]]:
        numbers = await self._numbering.of({(row.site, row.blog_id) for row in rows})
        return [(site, blog_id, number) for (site, blog_id), number in numbers.items()]

    async def _forget(self, rows: Sequence[Event], deleted: Sequence[int]) -> None:
        """What was deleted before it was stored may be sent again."""
        if deleted:
            await self._claims.forget([(rows[at].site, rows[at].event_id) for at in deleted])


class PreparingSamples(Preparing[Sample]):
    """Of samples of one series and time in a batch, the last is right."""

    def __init__(self, engine: Engine, claims: Claims) -> None:
        super().__init__(engine, WRITING_SAMPLES, claims)

    async def _dropped(self, rows: Sequence[Sample], known: set[int], given: Mapping[int, list[int]]) -> set[int]:
        last: dict[tuple[int, int], int] = {}
        dropped = set[int]()
        for at, sample in enumerate(rows):
            if at in known:
                continue
            key = sample.series, sample.at
            if key in last:
                dropped.add(last[key])
            last[key] = at
        return dropped

    async def _about(self, rows: Sequence[Sample]) -> About:
        return About([], [])

    def _suspects(self, rows: int) -> set[int]:
        """All: remote write claims nothing, so that Redis cannot vouch for what came by any other way either."""
        return set(range(rows))

    async def _stored(
        self, rows: Sequence[Sample], suspects: Set[int], vouched: Mapping[int, bool]
    ) -> set[tuple[str, bytes]]:
        return await samples.known_ids(self._engine, [rows[at] for at in sorted(suspects)])


def _vouched(row: Row, verdict: Verdict | None, standing: Standing | None) -> bool:
    """Whether Redis vouches that an id nobody else holds did not come in during the last day."""
    return verdict is not None and standing is not None and standing.vouches_for(row.received_at, verdict.standing.now)


def owner(spool: str, number: int) -> bytes:
    """The name under which a record claims ids, the same in every process that ever reads it."""
    return f"{spool}:{number}".encode()
