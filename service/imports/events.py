"""The events of a file, in order and as it is read."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from service.imports import combined, ndjson, pages
from service.imports.event_ids import EventIds
from service.imports.lines import read_lines
from service.imports.reasons import Reason


class FileFormat(StrEnum):
    COMBINED = "combined"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class EventLine:
    """A line that is an event. `offset`: bytes of the file on disk read so far."""

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


def read_events(
    path: Path, format: FileFormat, site: str, match: re.Pattern[str] | None = None
) -> Iterator[EventLine | SkippedLine]:
    """Yield every line of the file as what it is; memory does not grow with the file.

    The same file gives the same event_ids each time, also when it has grown at its end. Raises OSError where
    the file cannot be read.
    """
    to_event = _interpreter(format, site, match)
    for number, offset, raw, whole in read_lines(path):
        event = Reason.TOO_LONG if not whole else to_event(raw) if raw.strip() else Reason.BLANK
        if isinstance(event, Reason):
            yield SkippedLine(number, offset, event, raw)
        else:
            yield EventLine(number, offset, event)


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
