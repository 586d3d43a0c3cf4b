"""A gauge as OpenMetrics text 1.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EOF_LINE = "# EOF\n"


def head(metric: str, description: str) -> str:
    return f"# HELP {metric} {escaped(description)}\n# TYPE {metric} gauge\n"


def lines(metric: str, labels: Mapping[str, str], samples: Iterable[tuple[int | str, float]]) -> str:
    """A line a sample, which is (epoch seconds, value); text may say the seconds with their fraction."""
    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    series = f"{metric}{{{pairs}}}" if pairs else metric
    return "".join(f"{series} {value!r} {instant}\n" for instant, value in samples)


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
