"""How records lie in a segment: each with its length and checksum, so that a torn tail shows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO, NamedTuple

# Bytes of the payload, CRC-32 of all that follows, events in it, epoch ms of its arrival.
_HEADER = Struct("<IIIQ")
_CHECKED = Struct("<IQ")


class Record(NamedTuple):
    """`number`: how many records the spool ever took before it. `accepted_at`: epoch milliseconds."""

    number: int
    events: int
    accepted_at: int
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes in the segment."""
        return _HEADER.size + len(self.payload)


def framed(events: int, accepted_at: int, payload: bytes) -> bytes:
    """A record as it is written."""
    checksum = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(events, accepted_at)))
    return _HEADER.pack(len(payload), checksum, events, accepted_at) + payload


def records(file: BinaryIO, number: int, end: int) -> Iterator[Record]:
    """The records from the file's position on, the first being `number`; up to byte `end`, or the first that is not
    whole. The file then stands where that one begins."""
    at = file.tell()
    while at + _HEADER.size <= end:
        size, checksum, events, accepted_at = _HEADER.unpack(file.read(_HEADER.size))
        payload = file.read(size) if at + _HEADER.size + size <= end else b""
        if len(payload) != size or zlib.crc32(payload, zlib.crc32(_CHECKED.pack(events, accepted_at))) != checksum:
            break
        at += _HEADER.size + size
        yield Record(number, events, accepted_at, payload)
        number += 1
    file.seek(at)
