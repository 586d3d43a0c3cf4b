"""A made-up series as OpenMetrics text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.samples.openmetrics import EOF_LINE, head, lines
from service.synth.made import Made

# Samples written at a time: some 5 MB of text.
_BATCH = 65_536


def text(made: Made, moved: Callable[[int], None]) -> Iterator[str]:
    """The whole of it, in pieces; `moved` hears how many samples each had."""
    yield head(made.metric, made.description)
    for batch in made.batches(_BATCH):
        yield lines(made.metric, made.labels, batch)
        moved(len(batch))
    yield EOF_LINE
