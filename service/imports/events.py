"""The events of a file, in order and as it is read."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec

from service.imports import combined, ndjson, pages, parquet, table
from service.imports.event_ids import EventIds
from service.imports.lines import read_lines
from service.imports.reasons import Reason


class FileFormat(StrEnum):
    COMBINED = "combined"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


_EXTENSIONS = {
    ".log": FileFormat.COMBINED,
    ".ndjson": FileFormat.NDJSON,
    ".jsonl": FileFormat.NDJSON,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
}


def guess_format(path: Path) -> FileFormat | None:
    """By the extension, the one before .gz; None: it says nothing."""
    return _EXTENSIONS.get(_extension(path))


def _extension(path: Path) -> str:
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


@dataclass(frozen=True)
class Reading:
    """How a file is read: what decides, with its bytes, which events it holds."""

    format: FileFormat
    site: str
    match: re.Pattern[str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of tables: the column of an event field, where it has another name."""
    delimiter: str | None = None
    """Of CSV; None: a tab in a .tsv, else a comma."""


@dataclass(frozen=True, slots=True)
class EventLine:
    """A line (of a table, a row) that is an event. `offset`: bytes of the file on disk read so far."""

    number: int
    offset: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SkippedLine:
    """A line that is none, and why."""

    number: int
    offset: int
    reason: Reason
    raw: bytes


def read_events(path: Path, reading: Reading) -> Iterator[EventLine | SkippedLine]:
    """Yield every line of the file as what it is; memory does not grow with the file.

    The same file gives the same event_ids each time, also when it has grown at its end. Raises OSError where
    the file cannot be read, UnusableFile where it is no table of events.
    """
    if reading.format is FileFormat.PARQUET:
        for number, offset, values in parquet.read_rows(path, reading.site, reading.columns):
            yield _line(number, offset, values, b"")
        return
    if reading.format is FileFormat.CSV:
        delimiter = reading.delimiter or ("\t" if _extension(path) == ".tsv" else ",")
        for row, cells in table.read_rows(read_lines(path), reading.site, reading.columns, delimiter):
            yield _line(row.number, row.offset, cells, row.raw)
        return
    to_event = _interpreter(reading.format, reading.site, reading.match)
    event: Mapping[str, object] | Reason
    for number, offset, raw, whole in read_lines(path):
        event = Reason.TOO_LONG if not whole else to_event(raw) if raw.strip() else Reason.BLANK
        yield _line(number, offset, event, raw)


def _line(number: int, offset: int, event: Mapping[str, object] | Reason, raw: bytes) -> EventLine | SkippedLine:
    if isinstance(event, Reason):
        return SkippedLine(number, offset, event, raw)
    return EventLine(number, offset, event)


def _interpreter(
    format: FileFormat, site: str, match: re.Pattern[str] | None
) -> Callable[[bytes], Mapping[str, object] | Reason]:
    ids = EventIds()

    def from_log(raw: bytes) -> Mapping[str, object] | Reason:
        hit = combined.parse(raw)
        return hit if isinstance(hit, Reason) else pages.to_view(hit, raw, site, match, ids)

    def from_ndjson(raw: bytes) -> Mapping[str, object] | Reason:
        return ndjson.to_event(raw, site, ids)

    return from_log if format is FileFormat.COMBINED else from_ndjson


class Fingerprint(msgspec.Struct, frozen=True):
    """What tells one file from another: 1 s for a GB, where sending it takes minutes."""

    size: int
    digest: str


def fingerprint(path: Path) -> Fingerprint:
    """Of all of its bytes. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Fingerprint(file.tell(), digest)
