"""The events of a file, in order and as it is read."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from service.imports import combined, ndjson, pages
from service.imports.event_ids import EventIds
from service.imports.lines import read_lines
from service.imports.reasons import Reason

SAMPLES = 5
SAMPLE_LENGTH = 200


class Format(StrEnum):
    COMBINED = "combined"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class Event:
    """A line that is an event. `offset`: bytes of the file on disk read so far."""

    line: int
    offset: int
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that is none, and why."""

    line: int
    offset: int
    reason: Reason
    raw: bytes


def read_events(
    path: Path, format: Format, site: str, match: re.Pattern[str] | None = None
) -> Iterator[Event | Skipped]:
    """Yield every line of the file as what it is; memory does not grow with the file.

    The same file gives the same event_ids each time, also when it has grown at its end. Raises OSError where
    the file cannot be read.
    """
    to_event = _interpreter(format, site, match)
    for number, offset, raw, whole in read_lines(path):
        event = Reason.TOO_LONG if not whole else to_event(raw) if raw.strip() else Reason.BLANK
        if isinstance(event, Reason):
            yield Skipped(number, offset, event, raw)
        else:
            yield Event(number, offset, event)


def _interpreter(
    format: Format, site: str, match: re.Pattern[str] | None
) -> Callable[[bytes], Mapping[str, object] | Reason]:
    ids = EventIds()

    def from_log(raw: bytes) -> Mapping[str, object] | Reason:
        hit = combined.parse(raw)
        return hit if isinstance(hit, Reason) else pages.to_view(hit, raw, site, match, ids)

    def from_ndjson(raw: bytes) -> Mapping[str, object] | Reason:
        return ndjson.to_event(raw, site, ids)

    return from_log if format is Format.COMBINED else from_ndjson


@dataclass(frozen=True, slots=True)
class Sample:
    """An unparsable line to show: its number, and its beginning as text."""

    line: int
    reason: Reason
    text: str


@dataclass(slots=True)
class Tally:
    """What a file held: `lines` = `events` + the sum of `skipped`."""

    lines: int = 0
    events: int = 0
    skipped: Counter[Reason] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)  # the first unparsable lines, at most SAMPLES

    @property
    def unparsable(self) -> int:
        return sum(n for reason, n in self.skipped.items() if reason.unparsable)

    def add(self, item: Event | Skipped) -> None:
        self.lines += 1
        if isinstance(item, Event):
            self.events += 1
            return
        self.skipped[item.reason] += 1
        if item.reason.unparsable and len(self.samples) < SAMPLES:
            text = item.raw[:SAMPLE_LENGTH].decode("utf-8", "replace")
            self.samples.append(Sample(item.line, item.reason, text))
