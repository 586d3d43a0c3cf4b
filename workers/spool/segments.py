"""The files of a spool: records are appended to the last one, read in order, and files that are done with go.

Every call blocks for the disk. One thread appends, one other may read and release.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from workers.files import sync_folder
from workers.spool.records import Record, records

logger = logging.getLogger(__name__)

# A segment goes when all of it is stored: this much disk is held longer than need be.
SEGMENT_BYTES = 32 * 2**20

_SUFFIX = ".log"


@dataclass
class _Segment:
    """`first` numbers its first record; `size` are the bytes known to be on disk."""

    path: Path
    first: int
    size: int = 0


class Position(NamedTuple):
    """Where the record `number` begins, or will: a byte of the segment that begins with record `first`."""

    first: int
    offset: int
    number: int


class Segments:
    def __init__(self, folder: Path) -> None:
        """Opens what is there and cuts off a torn tail, which nobody was told of. Raises OSError."""
        self._folder = folder
        self._lock = threading.Lock()
        self._segments = [
            _Segment(path, int(path.stem), path.stat().st_size) for path in sorted(folder.glob(f"*{_SUFFIX}"))
        ]
        self._file = -1
        self._torn = False
        self._worn = False
        if not self._segments:
            self._segments = [_Segment(self._path(0), 0)]
        last = self._segments[-1]
        self.next = last.first
        self._open(last)
        if last.size:
            self._cut_torn_tail(last)
        self.position = self._released = Position(self.first, 0, self.first)
        """Of the next record to be read."""

    @property
    def waiting_bytes(self) -> int:
        """Of records that are not released."""
        with self._lock:
            left = sum(segment.size for segment in self._segments if segment.first >= self._released.first)
            return left - self._released.offset

    @property
    def first(self) -> int:
        """The number of the oldest record that is still there."""
        return self._segments[0].first

    def append(self, frames: Sequence[bytes]) -> int:
        """The number of the first of these records, all of which are on disk.

        Raises:
            OSError: none of them is there, now or after a crash.
        """
        if self._torn:
            self._undo()
        if self._worn or self._segments[-1].size >= SEGMENT_BYTES:
            self._roll()
        last = self._segments[-1]
        data = b"".join(frames)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, memoryview(data)[written:], last.size + written)
            os.fdatasync(self._file)
        except OSError:
            # After a failed fsync nobody knows which pages are there: this file is not trusted with another.
            self._torn = self._worn = True
            self._undo()
            raise
        with self._lock:
            last.size += len(data)
            first, self.next = self.next, self.next + len(frames)
        return first

    def seek(self, number: int) -> None:
        """The next record read is this one, or the oldest there is after it; those before are released."""
        with self._lock:
            segment = next((one for one in reversed(self._segments) if one.first <= number), self._segments[0])
        first, offset, at = segment.first, 0, segment.first
        with segment.path.open("rb") as file:
            for record in records(file, first, segment.size):
                if record.number >= number:
                    break
                offset += record.size
                at += 1
        self.position = Position(first, offset, at)
        self.release(self.position)

    def read(self, before: int, most_events: int, most_bytes: int) -> list[Record]:
        """The next records, in order, of those with a number below `before`: up to so much of them, at least one where
        there is one. Raises OSError."""
        began = self.position
        try:
            return self._read(before, most_events, most_bytes)
        except OSError:
            self.position = began  # the same are to be read again
            raise

    def _read(self, before: int, most_events: int, most_bytes: int) -> list[Record]:
        taken: list[Record] = []
        events = size = 0
        while (bounds := self._bounds()) is not None:
            segment, end = bounds
            first, offset, number = self.position
            with segment.path.open("rb") as file:
                file.seek(offset)
                for record in records(file, number, end):
                    events += record.events
                    size += record.size
                    if record.number >= before or (taken and (events > most_events or size > most_bytes)):
                        return taken
                    taken.append(record)
                    offset += record.size
                    number += 1
                    self.position = Position(first, offset, number)
            if offset < end:
                self._pass_over_damage(segment, end)
        return taken

    def oldest(self) -> int | None:
        """When the next record to be read was accepted, in epoch milliseconds; None: all are read."""
        bounds = self._bounds()
        if bounds is None:
            return None
        segment, end = bounds
        with segment.path.open("rb") as file:
            file.seek(self.position.offset)
            return next((record.accepted_at for record in records(file, self.position.number, end)), None)

    def waiting(self) -> tuple[int, int | None]:
        """How many events are still to be read, and when the first of them was accepted; reads them all."""
        began, events = self.position, 0
        oldest = self.oldest()
        while found := self.read(self.next, 100_000, SEGMENT_BYTES):
            events += sum(record.events for record in found)
        self.position = began
        return events, oldest

    def release(self, position: Position) -> None:
        """All records before are stored: files that hold no other go. Raises OSError."""
        with self._lock:
            self._released = position
            done = [one for one in self._segments if one.first < position.first]
            self._segments = [one for one in self._segments if one.first >= position.first]
            # It would else hold its disk for as long as little comes in.
            self._worn = self._worn or (position.number == self.next and position.offset > SEGMENT_BYTES // 8)
        for segment in done:
            segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}{_SUFFIX}"

    def _open(self, segment: _Segment) -> None:
        opened = os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._file >= 0:
            os.close(self._file)
        self._file = opened
        sync_folder(self._folder)

    def _cut_torn_tail(self, segment: _Segment) -> None:
        size = segment.size
        with segment.path.open("rb") as file:
            self.next += sum(1 for _ in records(file, segment.first, size))
            segment.size = file.tell()
        if segment.size < size:
            # Nobody was told of them, unless it is the disk that spoilt them: hence the copy.
            cut = segment.path.with_suffix(".cut")
            cut.write_bytes(os.pread(self._file, size - segment.size, segment.size))
            logger.warning("%s: the last %d bytes are no record; moved to %s", segment.path, size - segment.size, cut)
            os.ftruncate(self._file, segment.size)
        # Written by a process that may have died before its fsync.
        os.fsync(self._file)

    def _undo(self) -> None:
        """Raises OSError: what was not acknowledged may still be there, so nothing may follow it."""
        os.ftruncate(self._file, self._segments[-1].size)
        os.fsync(self._file)
        self._torn = False

    def _roll(self) -> None:
        last = self._segments[-1]
        if last.size == 0:
            self._open(last)
        else:
            new = _Segment(self._path(self.next), self.next)
            self._open(new)
            with self._lock:
                self._segments.append(new)
        self._worn = False

    def _bounds(self) -> tuple[_Segment, int] | None:
        """The segment of the next record, and where its records end now; None: all are read."""
        with self._lock:
            for segment in self._segments:
                if segment.first > self.position.first:
                    self.position = Position(segment.first, 0, segment.first)
                if segment.first == self.position.first and self.position.offset < segment.size:
                    return segment, segment.size
        return None

    def _pass_over_damage(self, segment: _Segment, end: int) -> None:
        """The rest of a file that was whole once: kept beside the others for whoever can read it."""
        kept = segment.path.with_suffix(".damaged")
        kept.unlink(missing_ok=True)
        os.link(segment.path, kept)
        logger.error(
            "%s is damaged from byte %d on: %d bytes are passed over and kept in %s",
            segment.path,
            self.position.offset,
            end - self.position.offset,
            kept.name,
        )
        with self._lock:
            self._worn = True
            following = [one.first for one in self._segments if one.first > segment.first]
            self.position = Position(segment.first, end, min(following, default=self.next))
