"""Pieces of time as whole milliseconds: the days that events touch, the months that work is cut into, the condition
that a statement reads them by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from clickhouse.instants import epoch_ms
from clickhouse.rollups import GRAINS
from clickhouse.shapes import DAY
from clickhouse.statement import Value


class Span(NamedTuple):
    """`[start, end)`, epoch milliseconds."""

    start: int
    end: int


# Spans in one statement: conditions cost planning, what lies in a small gap costs next to nothing.
MOST = 50

_MONTH = next(grain for grain in GRAINS if grain.name == "month")


def days_of(instants: Iterable[int]) -> list[Span]:
    """The whole days, UTC, these instants lie in."""
    return merged([Span(day, day + DAY) for day in {instant - instant % DAY for instant in instants}])


def merged(spans: Iterable[Span], most: int | None = None) -> list[Span]:
    """Disjoint and ascending. More than `most` become that many: the smallest gaps are taken in."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    if most is None or len(joined) <= most:
        return joined
    gaps = sorted(range(1, len(joined)), key=lambda index: joined[index].start - joined[index - 1].end)
    starts = [0, *sorted(gaps[len(joined) - most :])]
    ends = [*(index - 1 for index in starts[1:]), -1]
    return [Span(joined[first].start, joined[last].end) for first, last in zip(starts, ends, strict=True)]


def months_of(span: Span) -> Iterator[Span]:
    """The span cut at the first instants of months, UTC."""
    start = span.start
    while start < span.end:
        end = min(_MONTH.ceiling(start + 1), span.end)
        yield Span(start, end)
        start = end


def month_of(number: int) -> Span:
    """A partition of raw, YYYYMM."""
    start = epoch_ms(datetime(number // 100, number % 100, 1, tzinfo=UTC))
    return Span(start, _MONTH.ceiling(start + 1))


# Epoch milliseconds bound to a name, as a column of events and one of buckets compare with them.
EVENT = "fromUnixTimestamp64Milli({{{}:Int64}}, 'UTC')"
BUCKET = "toDateTime(intDiv({{{}:Int64}}, 1000), 'UTC')"


def within(column: str, instant: str, spans: Sequence[Span]) -> str:
    """SQL for a time in one of the spans, at least one; `instant` is EVENT or BUCKET. `bound` has the values."""
    pieces = (
        f"({column} >= {instant.format(f'start_{index}')} AND {column} < {instant.format(f'end_{index}')})"
        for index in range(len(spans))
    )
    return f"({' OR '.join(pieces)})"


def bound(spans: Sequence[Span]) -> dict[str, Value]:
    starts: dict[str, Value] = {f"start_{index}": span.start for index, span in enumerate(spans)}
    return starts | {f"end_{index}": span.end for index, span in enumerate(spans)}
