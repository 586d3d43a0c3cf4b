"""Appends that are on disk when they return: many requests share one fsync, and limits say no before a disk does."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from workers.metrics import Unavailability
from workers.spool.folders import Folder
from workers.spool.records import Record, framed
from workers.spool.segments import Position, Segments

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds between two looks at the free space of the disk, each some 5 µs.
_LOOK = 0.1


class NotTaken(Exception):
    """Nothing was taken; the same may be sent again later."""

    def __init__(self, reason: Unavailability, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """Beyond one of them nothing is taken until the flusher has caught up. `free_bytes`: that the disk must have left;
    None: a twentieth of it, at most a GiB."""

    bytes: int
    age_seconds: float
    free_bytes: int | None = None


class _Append(NamedTuple):
    frame: bytes
    events: int
    taken: Callable[[int], None]
    done: asyncio.Future[None]


class Spool:
    """One folder, appended to by one process; a `workers.spool_status.SpoolStatus`. Reads see what is on disk alone."""

    def __init__(self, folder: Folder, limits: Limits, on_sync: Callable[[float], None] = lambda _: None) -> None:
        """Raises OSError. `on_sync` hears how many seconds each write with its fsync took."""
        self.folder = folder
        self.segments = Segments(folder.path)
        self.waiting_events = 0
        self.ended: str | None = None
        """Why nothing will ever be flushed by this process; None: it will."""
        self._limits = limits
        self._next = self.segments.next
        self._refused: str | None = None
        self._on_sync = on_sync
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._pending: list[_Append] = []
        self._pending_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._oldest: int | None = None
        self._looked = -math.inf
        self._free = (0, 0)
        self._closed = False

    async def append(self, events: int, accepted_at: int, payload: bytes, taken: Callable[[int], None]) -> None:
        """Returns when the record is on disk. `taken` hears its number first, before anyone can read it.

        Raises:
            NotTaken: a limit is reached, or the disk failed; nothing is kept of it.
        """
        over = self._over_limit()
        if over is not None:
            raise over
        if self.ended is not None:
            raise NotTaken(Unavailability.STOPPING, self.ended)
        frame = framed(events, accepted_at, payload)
        append = _Append(frame, events, taken, asyncio.get_running_loop().create_future())
        self._pending.append(append)
        self._pending_bytes += len(frame)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        # Who hangs up cancels the future alone; the record is written all the same.
        await append.done
        if self._oldest is None:
            self._oldest = accepted_at

    @property
    def bytes(self) -> int:
        """Of records that are not stored."""
        return self.segments.waiting_bytes

    @property
    def limit_bytes(self) -> int:
        return self._limits.bytes

    @property
    def oldest_age_seconds(self) -> float:
        """Since the oldest record that is not stored was accepted; 0 when there is none."""
        return 0.0 if self._oldest is None else max(0.0, time.time() - self._oldest / 1000)

    @property
    def limit_age_seconds(self) -> float:
        return self._limits.age_seconds

    @property
    def free_bytes(self) -> int:
        """Raises OSError."""
        return self._look()[0]

    @property
    def min_free_bytes(self) -> int:
        """Raises OSError."""
        return self._look()[1]

    @property
    def fault(self) -> str | None:
        """Why nothing is taken now; None: it is."""
        over = self._over_limit()
        return self.ended or self._refused or (str(over) if over else None)

    @property
    def position(self) -> Position:
        """Behind what was read last, for `release`."""
        return self.segments.position

    async def start(self, number: int) -> None:
        """Reads begin here: all before is stored."""
        await asyncio.to_thread(self.segments.seek, number)
        self.waiting_events, self._oldest = await asyncio.to_thread(self.segments.waiting)

    async def read(self, most_events: int, most_bytes: int, before: int | None = None) -> list[Record]:
        """The next records, at least one where there is one; none with a number from `before` on."""
        last = self._next if before is None else before
        return await asyncio.to_thread(self.segments.read, last, most_events, most_bytes)

    async def release(self, position: Position, events: int) -> None:
        """All records before are stored; so many rows have been since the last call."""
        await asyncio.to_thread(self.segments.release, position)
        self.waiting_events = max(0, self.waiting_events - events)
        self._oldest = await asyncio.to_thread(self.segments.oldest)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """On the thread that writes, which `close` waits for."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, call, *arguments)

    async def close(self) -> None:
        """Ends what is on its way and leaves the folder to the next; a second time it does nothing."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
        if not self._closed:
            self._closed = True
            self._disk.shutdown(wait=True)
            self.segments.close()
            self.folder.leave()

    async def remove(self) -> None:
        """The folder goes; all of it is stored."""
        if not self._closed:
            self._closed = True
            self._disk.shutdown(wait=True)
            self.segments.close()
        await asyncio.to_thread(self.folder.remove)

    def _over_limit(self) -> NotTaken | None:
        if self.bytes + self._pending_bytes > self._limits.bytes:
            return NotTaken(Unavailability.SPOOL_FULL, f"{self._limits.bytes} bytes wait for ClickHouse already")
        age = self.oldest_age_seconds
        if age > self._limits.age_seconds:
            return NotTaken(Unavailability.TOO_OLD, f"rows have been waiting for ClickHouse for {age:.0f} s")
        try:
            free, least = self._look()
        except OSError as error:
            return NotTaken(Unavailability.FSYNC_FAILED, f"the disk does not answer: {error}")
        if free < least:
            return NotTaken(Unavailability.DISK_LOW, f"the disk has {free} bytes left, fewer than {least}")
        return None

    def _look(self) -> tuple[int, int]:
        """Bytes the disk has left, and must have."""
        if time.monotonic() - self._looked > _LOOK:
            disk = os.statvfs(self.folder.path)
            asked = self._limits.free_bytes
            least = min(disk.f_blocks * disk.f_frsize // 20, 2**30) if asked is None else asked
            self._looked, self._free = time.monotonic(), (disk.f_bavail * disk.f_frsize, least)
        return self._free

    async def _write(self) -> None:
        """What comes while one group is on its way to the disk is the next."""
        try:
            while self._pending:
                group, self._pending, self._pending_bytes = self._pending, [], 0
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: list[_Append]) -> None:
        try:
            first = await self.run(self._append, group)
        except Exception as error:
            if self._refused is None:
                logger.error("the spool cannot write, nothing is acknowledged", exc_info=error)
            self._refused = str(error) or type(error).__name__
            for append in group:
                if not append.done.done():  # its client may have hung up
                    append.done.set_exception(NotTaken(Unavailability.FSYNC_FAILED, f"the disk refuses: {error}"))
            return
        if self._refused is not None:
            logger.info("the spool can write again")
            self._refused = None
        self._next = first + len(group)
        for number, append in enumerate(group, first):
            self.waiting_events += append.events
            append.taken(number)
            if not append.done.done():
                append.done.set_result(None)

    def _append(self, group: list[_Append]) -> int:
        began = time.perf_counter()
        first = self.segments.append([append.frame for append in group])
        self._on_sync(time.perf_counter() - began)
        return first
