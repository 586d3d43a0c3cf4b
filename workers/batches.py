"""Batches: rows of some records, frozen with one token before their first try, the same in every try after it.

What the records hold stands in the spool and never changes. What else the block follows from is the batch itself, one
file beside the records: a process that finds it not stored makes the same block again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from workers.files import replace_file

R = TypeVar("R")

_FILE = "batch"


class Unreadable(Exception):
    """A file that says something else than what was written."""


class Batch(msgspec.Struct, frozen=True):
    """The records from `first` up to, not including, `following`."""

    token: str
    first: int
    following: int
    dropped: list[int]
    """Positions among all rows of these records: they are counted already."""
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


def counted(batch: Batch, rows: Sequence[R]) -> list[R]:
    """Of all rows of the batch's records, in order, those that it counts."""
    dropped = frozenset(batch.dropped)
    return [row for position, row in enumerate(rows) if position not in dropped] if dropped else list(rows)
