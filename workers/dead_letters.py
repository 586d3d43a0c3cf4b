"""Batches that ClickHouse refuses for their data: put aside, one file each, until an operator retries or drops them.

A file is one line of JSON, so that `head -1` tells what it is, and after it the batch as the flusher gave it.

DeadLetterError
├── NoSuchLetter       no letter has this id
└── UnreadableLetter   its file is torn or damaged; all that can be done is to drop it
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Protocol

import msgspec

from workers.files import replace_file

_SUFFIX = ".letter"

# Tokens are names of files, and ids come from addresses: nothing that leads out of the folder, or is hidden in it.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

# Seconds; writing one takes some milliseconds.
_ABANDONED = 3_600

# Bytes a header may take: a batch of 100,000 events may be of as many sites, whose names have 253 characters at most.
_LONGEST_HEADER = 32 * 2**20


class DeadLetterError(Exception):
    """The message says which letter, and why."""


class NoSuchLetter(DeadLetterError):
    pass


class UnreadableLetter(DeadLetterError):
    pass


# What fits a datetime: a header that says otherwise is damaged.
Instant = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a refused batch without opening it; its token is its id. Times are epoch milliseconds."""

    token: str
    dataset: str
    refused_at: Instant
    reason: str
    """The first line of ClickHouse's answer."""
    code: int | None
    sites: list[str]
    rows: int
    first_at: Instant
    """When its first event was viewed, or its first sample taken."""
    last_at: Instant


class Letter(About, frozen=True, kw_only=True):
    """One refused batch."""

    payload: bytes
    """What the flusher needs to send the same block with the same token."""


@dataclass(frozen=True)
class Summary:
    """One file as a list shows it; `about` is None where `fault` says that it is unreadable from its first line on."""

    id: str
    size: int
    """Bytes."""
    written_at: int
    """Epoch milliseconds."""
    about: About | None
    fault: str | None


class Retries(Protocol):
    """Who sends a letter's batch again: the flusher of its dataset."""

    async def retry(self, letter: Letter) -> None:
        """Returns when the batch is in raw and in every rollup, once; calls may overlap, also for one letter.

        Raises:
            Refused: ClickHouse refused it again.
            UnreadableLetter: its payload is no batch.
            Unavailable: ClickHouse is away; whether it has the batch is unknown, and another retry is harmless.
        """
        ...


class _Header(About, frozen=True, kw_only=True):
    payload_bytes: int
    payload_digest: str


class DeadLetters:
    """One file a letter, named by its token. Calls block for the disk: call them in a thread, `count` excepted."""

    def __init__(self, folder: Path) -> None:
        """Old drafts are of a killed process, whose batches are still where they came from; a young one may be of
        another that shares the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob("*.draft"):
            if time.time() - draft.stat().st_mtime > _ABANDONED:
                draft.unlink()
        self._folder = folder

    def put(self, letter: Letter) -> None:
        """The letter is on disk when this returns, in place of one with the same token.

        Raises:
            ValueError: the token cannot be an id.
            OSError: the letter is not on disk.
        """
        if not _ID.fullmatch(letter.token):
            raise ValueError(f"{letter.token!r} cannot be the id of a dead letter")
        header = msgspec.json.encode(_header(letter))
        replace_file(self._folder / f"{letter.token}{_SUFFIX}", header + b"\n" + letter.payload)

    def count(self) -> int:
        """Of all, unreadable ones included."""
        return sum(1 for _ in self._ids())

    def summaries(self) -> list[Summary]:
        """Oldest first; of each file only the header is read."""
        found = []
        for id_ in self._ids():
            try:
                found.append(self._summary(id_))
            except FileNotFoundError:  # dropped meanwhile
                continue
        return sorted(found, key=lambda summary: (summary.written_at, summary.id))

    def read(self, id_: str) -> Letter:
        """Raises NoSuchLetter, or UnreadableLetter when the file is not what `put` wrote."""
        path = self._path(id_)
        try:
            with path.open("rb") as file:
                header = _read_header(file, id_)
                payload = file.read()
        except FileNotFoundError:
            raise NoSuchLetter(f"there is no dead letter {id_}") from None
        except OSError as error:
            raise UnreadableLetter(f"{id_}: {error.strerror}") from error
        if len(payload) != header.payload_bytes or _digest(payload) != header.payload_digest:
            raise UnreadableLetter(f"{id_}: {_TORN}")
        return Letter(**_about(header), payload=payload)

    def drop(self, id_: str) -> None:
        """The events in it are gone for good. Raises NoSuchLetter."""
        try:
            self._path(id_).unlink()
        except FileNotFoundError:
            raise NoSuchLetter(f"there is no dead letter {id_}") from None

    def _ids(self) -> Iterator[str]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                id_ = entry.name.removesuffix(_SUFFIX)
                if id_ != entry.name and _ID.fullmatch(id_) and entry.is_file():
                    yield id_

    def _path(self, id_: str) -> Path:
        if not _ID.fullmatch(id_):
            raise NoSuchLetter("there is no dead letter with such an id")
        return self._folder / f"{id_}{_SUFFIX}"

    def _summary(self, id_: str) -> Summary:
        path = self._path(id_)
        state = path.stat()
        written_at = state.st_mtime_ns // 1_000_000
        try:
            with path.open("rb") as file:
                header = _read_header(file, id_)
                torn = state.st_size - file.tell() != header.payload_bytes
        except FileNotFoundError:
            raise
        except OSError as error:
            return Summary(id_, state.st_size, written_at, None, error.strerror)
        except UnreadableLetter as error:
            return Summary(id_, state.st_size, written_at, None, str(error).removeprefix(f"{id_}: "))
        return Summary(id_, state.st_size, written_at, About(**_about(header)), _TORN if torn else None)


_TORN = "the batch in it is torn or damaged"


def _header(letter: Letter) -> _Header:
    # ClickHouse quotes the data it refuses, which may be cut within a character; that must not lose the batch.
    about = _about(letter) | {"reason": letter.reason.encode(errors="replace").decode()}
    return _Header(**about, payload_bytes=len(letter.payload), payload_digest=_digest(letter.payload))


def _about(of: About) -> dict[str, Any]:
    return {name: getattr(of, name) for name in About.__struct_fields__}


def _read_header(file: BinaryIO, id_: str) -> _Header:
    try:
        header = msgspec.json.decode(file.readline(_LONGEST_HEADER), type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableLetter(f"{id_}: its first line is no header") from error
    if header.token != id_:
        raise UnreadableLetter(f"{id_}: it is the letter of {header.token}")
    return header


def _digest(payload: bytes) -> str:
    return blake2b(payload, digest_size=16).hexdigest()
