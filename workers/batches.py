"""Batches: events of some records, frozen with one token before their first try, the same in every try after it.

What the records hold stands in the spool and never changes. What else the block follows from is the batch itself, one
file beside the records: a process that finds it not stored makes the same block again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from clickhouse.blogs import Key
from clickhouse.events import Block, Event, freeze
from workers.files import replace_file
from workers.spool.records import Record

_FILE = "batch"

# Of what `pack` makes; to be raised with every change of Event's fields, and then both are to be read. Events of format
# 1 end before `import_id`, whose default they get.
_FORMAT = 2


class Unreadable(Exception):
    """A file that says something else than what was written."""


class Batch(msgspec.Struct, frozen=True):
    """The records from `first` up to, not including, `following`."""

    token: str
    first: int
    following: int
    dropped: list[int]
    """Positions among all events of these records: they are counted already."""
    authors: list[tuple[str, str, str]]
    """Of blogs (site, blog_id), for events that name none."""
    numbers: list[tuple[str, str, int]]
    """Of all blogs (site, blog_id)."""
    begun_at: int = 0
    """Epoch milliseconds."""
    boot: str = ""
    """What this host called the time since its last start, then."""
    stored: bool = False


def begin(folder: Path, batch: Batch) -> None:
    """The batch is on disk when this returns, in place of the one before it. Raises OSError."""
    replace_file(folder / _FILE, msgspec.msgpack.encode(batch))


def end(folder: Path, batch: Batch) -> None:
    """The batch is stored. Should a power loss undo this file, its token makes another try harmless."""
    replace_file(folder / _FILE, msgspec.msgpack.encode(msgspec.structs.replace(batch, stored=True)), sync=False)


def begun(folder: Path) -> Batch | None:
    """The last batch of the spool in this folder; None before its first.

    Raises:
        Unreadable: nobody knows how far the spool was flushed.
        OSError
    """
    try:
        return msgspec.msgpack.decode((folder / _FILE).read_bytes(), type=Batch)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Unreadable(f"{folder / _FILE}: {error}") from error


def this_boot() -> str:
    """Another after a power loss, which may take with it what ClickHouse remembered of tokens."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


_BOOT = Path("/proc/sys/kernel/random/boot_id")


def pack(events: Sequence[Event], given: Sequence[int]) -> bytes:
    """What one request had accepted; `given` are the positions of the events whose id its client chose."""
    return msgspec.msgpack.encode((_FORMAT, events, given))


def unpack(record: Record) -> tuple[list[Event], list[int]]:
    """As given to `pack`."""
    _, events, given = _decode(record.payload)
    return events, given


_decode = msgspec.msgpack.Decoder(tuple[int, list[Event], list[int]]).decode


def seal(batch: Batch, events: Sequence[Event]) -> bytes:
    """All that `block` needs, for when the records are gone; `events`: what `counted` returned."""
    return msgspec.msgpack.encode((_FORMAT, batch, events))


def unseal(sealed: bytes) -> tuple[Batch, list[Event]]:
    """As given to `seal`. Raises Unreadable."""
    try:
        _, batch, events = msgspec.msgpack.decode(sealed, type=tuple[int, Batch, list[Event]])
    except msgspec.DecodeError as error:
        raise Unreadable(f"no batch: {error}") from error
    return batch, events


def counted(batch: Batch, events: Sequence[Event]) -> list[Event]:
    """Of all events of the batch's records, in order, those that it counts, their authors filled in."""
    dropped = frozenset(batch.dropped)
    authors = {(site, blog_id): author for site, blog_id, author in batch.authors}
    found = [event for position, event in enumerate(events) if position not in dropped] if dropped else list(events)
    return [_with_author(event, authors) for event in found] if authors else found


def block(batch: Batch, events: Sequence[Event], part: int = 0) -> Block:
    """`events`: what `counted` returned, at least one; or some of them, a block of its own by the number `part`."""
    token = f"{batch.token}-{part}" if part else batch.token
    return freeze(token, events, {(site, blog_id): number for site, blog_id, number in batch.numbers})


def _with_author(event: Event, authors: dict[Key, str]) -> Event:
    if event.author_id:
        return event
    author = authors.get((event.site, event.blog_id))
    return event._replace(author_id=author) if author else event
