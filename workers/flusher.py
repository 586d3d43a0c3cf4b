"""From the spool to ClickHouse: records become frozen batches, inserted in order, each until it is there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import chain, count, repeat
from typing import Generic, TypeVar

from clickhouse.blocks import Block, insert
from clickhouse.engine import Engine
from clickhouse.errors import DATA_CODES, ClickHouseError, Refused, Unavailable
from workers import batches
from workers.batches import Batch, Unreadable
from workers.dead_letters import DeadLetters, Letter, UnreadableLetter
from workers.doubt import Doubts
from workers.fence import Fence
from workers.flush_status import FlushStatus
from workers.metrics import Metrics
from workers.preparing import Prepared, Preparing, Verdict
from workers.spool.records import Record
from workers.spool.spool import Spool
from workers.versions import Versions
from workers.writing import R, Writing

logger = logging.getLogger(__name__)

T = TypeVar("T")

# One block stays one part per table: far below min_insert_block_size_rows (1,048,449) and _bytes (256 MB).
MAX_BATCH_ROWS = 100_000
MAX_BATCH_BYTES = 64 * 2**20

# Seconds between tries of one batch; the last one again and again.
RETRY_DELAYS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)

# Seconds that rows wait for others while no client waits for them: an insert takes some 50 ms of CPU however small it
# is. With as many as ENOUGH there is nothing to gain.
LINGER = 0.3
ENOUGH = 20_000

# Seconds after which a batch is looked for before it is tried again: ClickHouse remembers 10,000 blocks, and other
# processes may have inserted as many.
FORGOTTEN = 60

# Tries after which data that ClickHouse refuses are put aside: time for a view that it is about to be mended.
TRIES_OF_REFUSED = 3

# Records; of more, Redis is asked again when they are flushed.
_MOST_JUDGED = 100_000


class Flusher(Generic[R]):
    """One batch in flight at a time. Spools that dead processes left go before this process's own."""

    def __init__(
        self,
        engine: Engine,
        writing: Writing[R],
        spools: Sequence[Spool],
        preparing: Preparing[R],
        versions: Versions,
        dead_letters: DeadLetters,
        fence: Fence,
        underway: Fence,
        doubts: Doubts,
        metrics: Metrics,
    ) -> None:
        """The last of `spools` is this process's own. `underway`: the fence named BATCHES."""
        self._engine = engine
        self._writing = writing
        self._left = list(spools[:-1])
        self._own = spools[-1]
        self._owner = self._own.folder.name
        self._preparing = preparing
        self._versions = versions
        self._dead_letters = dead_letters
        self._fence = fence
        self._underway = underway
        self._doubts = doubts
        self._metrics = metrics
        self.status = FlushStatus()
        self._inserting = asyncio.Lock()
        self._counted: dict[int, asyncio.Future[int | None]] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._flushed = 0
        self._waiting = 0
        self._urgent = False
        self._suspect_before: dict[Spool, int] = {}
        """Records below that number may be stored already."""
        self._wake = asyncio.Event()
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name="flusher")

    def expect(self, number: int, rows: int, counted: asyncio.Future[int | None] | None = None) -> None:
        """A record of the own spool is on disk. A client that waits hears through `counted` how many of its rows were
        counted once they are; None: ClickHouse refuses them."""
        if counted is not None:
            self._counted[number] = counted
            self._urgent = True
        self._waiting += rows
        self._wake.set()

    def judged(self, number: int, verdict: Verdict) -> None:
        """What Redis said of the record's ids, in case it comes before the record is flushed."""
        if number >= self._flushed and len(self._verdicts) < _MOST_JUDGED:
            self._verdicts[number] = verdict

    async def retry(self, letter: Letter) -> None:
        """As `workers.dead_letters.Retries` says."""
        try:
            batch, rows = await asyncio.to_thread(self._writing.unseal, letter.payload)
        except Unreadable as error:
            raise UnreadableLetter(f"{letter.token}: {error}") from error
        # The names of flushers are words of spools: nobody else has this one.
        owner = f"{self._owner}-letter"
        await self._doubts.add(row.instant for row in rows)
        for part in count(1):
            lacking = await self._writing.missing(self._engine, rows)
            lacking = await self._writing.without_deleted(self._engine, lacking)
            if not lacking:
                break
            # Never under the batch's own token: that was tried, and perhaps forgotten since.
            block = await asyncio.to_thread(self._writing.block, batch, lacking, part)
            async with self._fence.flushing(owner), self._inserting:
                await insert(self._engine, block)
        async with self._fence.flushing(owner):
            await self._doubts.settle(owner)
        await self._versions.bump(letter.sites)

    async def close(self, seconds: float) -> None:
        """Flushes for so long at most; what is left stays in the spool for the next start."""
        self._stopping = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=seconds)
        while not self._task.done():
            # A cancellation may fall into a step that ends by one, and be taken for that.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)
        if self._own.bytes:
            logger.warning("stopped with %d bytes in the spool", self._own.bytes)

    async def _run(self) -> None:
        try:
            await self._flush_all()
        except Exception as error:
            # No step lets one through; should it happen, what is acknowledged is safe, and nothing more may be.
            logger.exception("the flusher ended for a fault of ours; rows are refused until a restart")
            self._failed(error)
            self._own.ended = f"the flusher ended: {error}"

    async def _flush_all(self) -> None:
        for spool in (self._own, *self._left):
            await self._done(partial(self._doubts.load, spool.folder.path))
        for spool in (*self._left, self._own):
            await self._resume(spool)
        while self._left:
            if not await self._flush(self._left[0]):
                await self._done(self._left[0].remove)
                del self._left[0]
        while not (self._stopping and not self._own.bytes):
            await self._gather()
            await self._flush(self._own)
            await self._settle()

    async def _gather(self) -> None:
        """Waits until there is something, and then for as long as that gains."""
        ends: float | None = None
        while not self._stopping:
            left = None
            if self._own.bytes:
                now = time.monotonic()
                ends = ends or now + LINGER
                left = ends - now
                if self._urgent or self._waiting >= ENOUGH or left <= 0:
                    return
            elif self._doubts.any:
                await self._settle()
                left = LINGER
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()
            self._wake.clear()

    async def _settle(self) -> None:
        """Behind the answers: a repair may take long, and wait for others."""
        if self._doubts.any:
            async with self._fence.flushing(self._owner):
                await self._done(partial(self._doubts.settle, self._owner))

    async def _resume(self, spool: Spool) -> None:
        """A batch that was begun and may be half stored goes first."""
        try:
            batch = await self._done(lambda: asyncio.to_thread(batches.begun, spool.folder.path), Unreadable)
        except Unreadable as error:
            logger.error("every row of this spool is looked up before it is stored: %s", error)
            await self._done(lambda: spool.start(0))
            self._suspect_before[spool] = spool.segments.next
            return
        if batch is None:
            await self._done(lambda: spool.start(0))
            return
        await self._done(lambda: spool.start(batch.following if batch.stored else batch.first))
        if batch.stored:
            return
        position = spool.position
        records = await self._done(lambda: spool.read(sys.maxsize, sys.maxsize, batch.following))
        if [record.number for record in records] != list(range(batch.first, batch.following)):
            logger.error("%s: the last batch cannot be read whole; its rows are looked up", spool.folder.path)
            await self._done(lambda: spool.start(position.number))
            self._suspect_before[spool] = batch.following
            return
        unpacked = await self._done(
            lambda: asyncio.to_thread(lambda: [self._writing.unpack(one)[0] for one in records])
        )
        counted = self._writing.counted(batch, list(chain.from_iterable(unpacked)))
        async with self._underway.flushing(batch.token):
            # With fewer rows it is another block under the same token: what that leaves out is looked for after it.
            rows = await self._done(partial(self._writing.without_deleted, self._engine, counted))
            await self._store(spool, records, Prepared(batch, rows, {}), resumed=True)

    async def _flush(self, spool: Spool) -> bool:
        """Stores the next batch; False: there is none."""
        own = spool is self._own
        if own:
            self._urgent = False
        records = await self._done(lambda: spool.read(MAX_BATCH_ROWS, MAX_BATCH_BYTES))
        if not records:
            if spool.bytes:
                await self._done(lambda: spool.release(spool.position, 0))  # what is left cannot be read
            return False
        verdicts: dict[int, Verdict] = {}
        if own:
            self._waiting = max(0, self._waiting - sum(record.events for record in records))
            self._flushed = records[-1].number + 1
            numbers = [record.number for record in records if record.number in self._verdicts]
            verdicts = {number: self._verdicts.pop(number) for number in numbers}
        suspect_before = self._suspect_before.get(spool, 0)
        async with self._underway.flushing(f"{spool.folder.name}-{records[0].number}"):
            prepared = await self._done(
                lambda: self._preparing.batch(spool.folder.name, records, verdicts, suspect_before)
            )
            await self._store(spool, records, prepared)
        return True

    async def _store(
        self, spool: Spool, records: Sequence[Record], prepared: Prepared[R], *, resumed: bool = False
    ) -> None:
        batch, rows, counts = prepared
        position = spool.position
        stored = True
        if rows or resumed:
            if not resumed:
                await self._done(lambda: spool.run(batches.begin, spool.folder.path, batch))
            stored = not rows or await self._insert(batch, rows, resumed=resumed)
            # Before the spool forgets it, and by the clock after the insert: what was asked meanwhile is covered.
            await self._versions.bump(self._writing.stale_sites(rows, time.time_ns() // 1_000_000))
            await self._done(lambda: spool.run(batches.end, spool.folder.path, batch))
            self._metrics.batch_rows.observe(len(rows))
            self._metrics.visible_seconds.observe(max(0.0, time.time() - records[0].accepted_at / 1000))
        await self._done(lambda: spool.release(position, sum(record.events for record in records)))
        for number, counted in counts.items():
            waiting = self._counted.pop(number, None) if spool is self._own else None
            if waiting is not None and not waiting.done():
                waiting.set_result(counted if stored else None)

    async def _insert(self, batch: Batch, rows: Sequence[R], *, resumed: bool) -> bool:
        """Whether ClickHouse has it; False: it refuses the data, which lie among the dead letters now.

        After a try that failed, and for a batch that a former process tried, days in doubt are noted.
        """
        lacking: Sequence[R] = rows
        part, refused, began, failed = 0, 0, time.monotonic(), resumed
        # The token may be tried again while ClickHouse is sure to remember it.
        look = resumed and (
            time.time() - batch.begun_at / 1000 > FORGOTTEN or batch.boot != await asyncio.to_thread(batches.this_boot)
        )
        delays = chain(RETRY_DELAYS, repeat(RETRY_DELAYS[-1]))
        while True:
            if look:
                lacking = await self._done(partial(self._writing.missing, self._engine, rows))
                if not lacking:
                    break
                if len(lacking) < len(rows):
                    # Nobody knows whether the log would take the rest for a repeat; a new number only after a yes,
                    # or a try that ClickHouse is still busy with would come twice.
                    part = max(part, 1)
            block = await self._done(partial(asyncio.to_thread, self._writing.block, batch, lacking, part))
            error = await self._try(block)
            if error is None:
                if not failed:
                    return True
                look = True  # ClickHouse says yes to what it takes for a repeat as well
                part += 1
                continue
            failed = True
            refused = refused + 1 if isinstance(error, Refused) and error.code in DATA_CODES else 0
            if refused >= TRIES_OF_REFUSED:
                await self._done(partial(self._bury, batch, rows, error))
                break
            # Another try under the same token heals what this one cut in half, as long as the log remembers it.
            look = not isinstance(error, Refused) and time.monotonic() - began > FORGOTTEN
            self._metrics.batches_retried.inc()
            await asyncio.sleep(next(delays))
        self._metrics.batches_in_doubt.inc()
        await self._done(lambda: self._doubts.add(row.instant for row in rows))
        return refused < TRIES_OF_REFUSED

    async def _try(self, block: Block) -> ClickHouseError | None:
        began = time.perf_counter()
        try:
            async with self._fence.flushing(self._owner), self._inserting:
                await insert(self._engine, block)
        except ClickHouseError as error:
            self._failed(error)
            return error
        except Exception as error:
            logger.exception("an insert failed for a fault of ours")
            self._failed(error)
            return Unavailable(repr(error))
        finally:
            self._metrics.insert_seconds.observe(time.perf_counter() - began)
        self._succeeded()
        return None

    async def _bury(self, batch: Batch, rows: Sequence[R], error: ClickHouseError) -> None:
        instants = [row.instant for row in rows]
        letter = Letter(
            token=batch.token,
            dataset=self._writing.dataset.name,
            refused_at=time.time_ns() // 1_000_000,
            reason=str(error).strip().partition("\n")[0],
            code=getattr(error, "code", None),
            sites=sorted({row.site for row in rows}),
            rows=len(rows),
            first_at=min(instants),
            last_at=max(instants),
            payload=self._writing.seal(batch, rows),
        )
        await asyncio.to_thread(self._dead_letters.put, letter)
        self._metrics.batches_dead_lettered.inc()
        logger.error("ClickHouse refuses batch %s, `readership dead-letter list` has it: %s", batch.token, error)

    async def _done(self, step: Callable[[], Awaitable[T]], *verdicts: type[Exception]) -> T:
        """Again and again until it succeeds or raises one of `verdicts`: nothing that is in the spool may be given up,
        whatever is wrong."""
        for delay in chain(RETRY_DELAYS, repeat(RETRY_DELAYS[-1])):
            try:
                return await step()
            except verdicts:
                raise
            except (ClickHouseError, OSError) as error:
                self._failed(error)
            except Exception as error:
                logger.exception("rows wait in the spool for a fault of ours")
                self._failed(error)
            await asyncio.sleep(delay)
        raise AssertionError("the delays never end")

    def _failed(self, error: Exception) -> None:
        line = str(error).strip().partition("\n")[0] or type(error).__name__
        if not self.status.failing:
            logger.warning("rows wait in the spool: %s", line)
        self.status.failed(time.time_ns() // 1_000_000, line)

    def _succeeded(self) -> None:
        if self.status.failing:
            logger.info("rows are stored again")
        self.status.succeeded(time.time_ns() // 1_000_000)
