"""Lines put together to what one request sends."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from service.imports.events import EventLine, SkippedLine
from service.imports.tally import Tally

# Lines read for one request. Larger requests gain nothing, and each holds others up for some 30 ms.
LINES = 5_000
# Bytes of its body, give or take an event: below the service's 10 MiB also where the texts are long. 5,000 views of a
# web server's log are 1.4 MiB.
BYTES = 4 * 2**20


@dataclass(slots=True)
class Batch:
    """Lines in the order read, `offset` being that of the last, and the events among them, already encoded.

    `held` counts the file from its first line to the last of this batch.
    """

    held: Tally
    read: int = 0
    offset: int = 0
    numbers: list[int] = field(default_factory=list)  # of each event's line
    events: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return self.read >= LINES or self.size >= BYTES

    @property
    def ndjson(self) -> bytes:
        return b"\n".join(self.events)

    def add(self, line: EventLine | SkippedLine) -> None:
        self.read += 1
        self.offset = line.offset
        if isinstance(line, EventLine):
            event = _encoder.encode(line.fields)
            self.numbers.append(line.number)
            self.events.append(event)
            self.size += len(event) + 1


def batches(lines: Iterator[EventLine | SkippedLine], tally: Tally, position: int = 0) -> Iterator[Batch]:
    """Every line after the first `position` in one batch; a batch may hold no event, never no line. All are counted.

    Lines before are read all the same: which id one of them has takes part in the ids of those that read alike.
    """
    batch = Batch(tally)
    for line in lines:
        tally.add(line)
        if tally.lines <= position:
            continue
        batch.add(line)
        if batch.full:
            batch.held = tally.copy()
            yield batch
            batch = Batch(tally)
    if batch.read:
        batch.held = tally.copy()
        yield batch


_encoder = msgspec.json.Encoder()
