"""What the answers about samples must be: plain Python over the samples as sent, of one site and metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tests.oracle import asked_range
from tests.oracle_calendar import DAY, MINUTE, clock, instant, period_of, rfc3339
from tests.oracle_facts import Json

DEFAULT = ("avg", "min", "max", "count")


@dataclass(frozen=True)
class Taken:
    at: int
    value: float
    labels: dict[str, str]

    def sent(self, metric: str, site: str) -> Json:
        return {"metric": metric, "site": site, "at": self.at, "value": self.value, "labels": self.labels}


def _last(samples: Sequence[Taken]) -> float:
    return max(samples, key=lambda one: one.at).value


# Values in the tests are quarters, of which any sum is exact.
NUMBERS: dict[str, Callable[[Sequence[Taken]], float]] = {
    "avg": lambda samples: fmean(one.value for one in samples),
    "min": lambda samples: min(one.value for one in samples),
    "max": lambda samples: max(one.value for one in samples),
    "count": len,
    "sum": lambda samples: sum(one.value for one in samples),
    "last": _last,
}


def rows(samples: Iterable[Taken], asked: Json, interval: str) -> list[Json]:
    """Of `interval`, whatever is asked; labels and group_by as lists. No quantiles."""
    chosen = [one for one in samples if _in_range(one, asked) and _has_labels(one, asked.get("labels", {}))]
    if interval == "raw":
        ordered = sorted(chosen, key=lambda one: one.at)
        return [{"at": rfc3339(one.at), "value": one.value, "labels": _kept(one.labels)} for one in ordered]
    names, zone = asked.get("group_by", []), asked.get("timezone", "UTC")
    found: dict[Any, list[Taken]] = defaultdict(list)
    for one in chosen:
        period = period_of(one.at, interval, zone)
        found[period, tuple(one.labels.get(name, "") for name in names)].append(one)
    return [
        {
            "start": rfc3339(period.start),
            "period": period.name,
            "labels": dict(zip(names, group, strict=True)),
            **{name: NUMBERS[name](found[period, group]) for name in asked.get("aggregates", DEFAULT)},
        }
        for period, group in sorted(found)
    ]


def interval_of(samples: Iterable[Taken], asked: Json) -> str:
    """What `auto` stands for; an open side ends with the minute of the first or last sample."""
    chosen = [one.at for one in samples if _in_range(one, asked) and _has_labels(one, asked.get("labels", {}))]
    start, end = asked_range(asked)
    if start is None or end is None:
        if not chosen:
            return "raw"
        start = min(chosen) // MINUTE * MINUTE if start is None else start
        end = (max(chosen) // MINUTE + 1) * MINUTE if end is None else end
    width = min(end - start, wall_clock(end, asked) - wall_clock(start, asked))
    widths = {1: "raw", 7: "hour", 30: "day", 90: "week"}
    return next((name for days, name in widths.items() if width <= days * DAY), "month")


def wall_clock(at: int, asked: Json) -> int:
    """What a clock on a wall of the zone shows, as if it were UTC."""
    return instant(f"{clock(at, asked.get('timezone', 'UTC')):%Y-%m-%dT%H:%M:%S}+00:00")


def _kept(labels: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if value}


def _in_range(one: Taken, asked: Json) -> bool:
    start, end = asked_range(asked)
    return (start is None or start <= one.at) and (end is None or one.at < end)


def _has_labels(one: Taken, wanted: dict[str, str | list[str]]) -> bool:
    return all(
        one.labels.get(name, "") in (values if isinstance(values, list) else [values])
        for name, values in wanted.items()
    )
