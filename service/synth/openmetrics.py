"""A gauge as OpenMetrics text 1.0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from service.synth.made import Made

EOF_LINE = "# EOF\n"

# Samples written at a time: some 5 MB of text.
_BATCH = 65_536


def head(metric: str, description: str) -> str:
    return f"# HELP {metric} {escaped(description)}\n# TYPE {metric} gauge\n"


def lines(metric: str, labels: Mapping[str, str], samples: Iterable[tuple[int | str, float]]) -> str:
    """A line a sample, which is (epoch seconds, value); text may say the seconds with their fraction."""
    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    series = f"{metric}{{{pairs}}}" if pairs else metric
    return "".join(f"{series} {value!r} {instant}\n" for instant, value in samples)


def text(made: Made, moved: Callable[[int], None]) -> Iterator[str]:
    """The whole of a made-up series, in pieces; `moved` hears how many samples each had."""
    yield head(made.metric, made.description)
    for batch in made.batches(_BATCH):
        yield lines(made.metric, made.labels, batch)
        moved(len(batch))
    yield EOF_LINE


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
