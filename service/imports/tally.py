"""What the files held, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from service.imports.events import EventLine, SkippedLine
from service.imports.reasons import Reason

SAMPLES = 5
SAMPLE_LENGTH = 200


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

    def copy(self) -> Tally:
        return Tally(self.lines, self.events, self.skipped.copy(), [*self.samples])

    def add(self, line: EventLine | SkippedLine) -> None:
        self.lines += 1
        if isinstance(line, EventLine):
            self.events += 1
            return
        self.skipped[line.reason] += 1
        if line.reason.unparsable and len(self.samples) < SAMPLES:
            text = line.raw[:SAMPLE_LENGTH].decode("utf-8", "replace")
            self.samples.append(Sample(line.number, line.reason, text))
