"""Which tables answer a question: a range is cut into segments, the coarsest grain inside, finer ones at its ends.

A plan is made by a fold of pure steps over a `Draft`. What makes it exact: the ends of the range, of every asked
period and of every condition on time are *borders*, and a grain may cover only whole buckets that no border cuts.
What is left over goes to the next finer grain, and at last to raw. All instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import reduce
from itertools import pairwise
from math import inf, isfinite
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clickhouse.conditions import instants
from clickhouse.existing import Existing
from clickhouse.instants import epoch_ms
from clickhouse.periods import Interval
from clickhouse.question import Asked
from clickhouse.rollups import GRAINS, grains_of
from clickhouse.shapes import DAY, DimensionSet, Grain


class Range(NamedTuple):
    """`[start, end)`; -inf and inf are open."""

    start: float
    end: float


ALWAYS = Range(-inf, inf)


class Counting(Enum):
    """Where the number of distinct blogs comes from."""

    STATES = "states"
    """Bitmaps kept beside the views, merged."""
    KEYS = "keys"
    """The blogs themselves, which the rows are grouped by."""


class Match(Enum):
    """How much of a question's range a table can answer."""

    NONE = "none"
    PARTIAL = "partial"
    FULL = "full"


@dataclass(frozen=True)
class Source:
    """One dimension set of one grain; raw has neither."""

    table: str
    grain: Grain | None = None
    dimension_set: DimensionSet | None = None

    @property
    def grain_name(self) -> str:
        return self.grain.name if self.grain else "raw"


@dataclass(frozen=True)
class Segment:
    """What one table answers: disjoint pieces of the range, ascending."""

    source: Source
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Plan:
    """Segments from coarse to fine; together they hold each event of the range once."""

    segments: tuple[Segment, ...]
    counting: Counting


class Expired(Exception):
    """Rows that an exact answer needs are gone: those of events in `gap`. From `since` on there are all; before, ranges
    and periods that consist of whole buckets of `grains` (fine to coarse; there may be none) can be answered."""

    def __init__(self, gap: Range, since: int, grains: tuple[Grain, ...]) -> None:
        super().__init__(gap)
        self.gap = gap
        self.since = since
        self.grains = grains


@dataclass(frozen=True)
class Draft:
    """A plan in the making: `left` is what no segment covers yet, of `pieces` that lie between two borders."""

    question: Asked
    existing: Existing
    grains: tuple[Grain, ...]
    counting: Counting = Counting.KEYS
    sources: tuple[Source, ...] = ()
    left: tuple[Range, ...] = ()
    pieces: int = 0
    segments: tuple[Segment, ...] = ()


def plan(question: Asked, existing: Existing | None = None, grains: tuple[Grain, ...] | None = None) -> Plan:
    """The fewest rows that answer `question` exactly, from these grains (fine to coarse; default: all that its dataset
    has) and raw.

    Raises:
        Expired: a part of the range is in no table any more.
    """
    of = grains_of(question.dataset) if grains is None else grains
    draft = reduce(lambda draft, step: step(draft), STEPS, Draft(question, existing or Existing(), of))
    return Plan(draft.segments, draft.counting)


def nesting(interval: Interval, zone: ZoneInfo) -> tuple[Grain, ...]:
    """The grains of which no bucket reaches from one period of the zone into another, fine to coarse.

    Weeks nest in weeks alone. Away from UTC only quarter hours do (all offsets since 2000 are multiples of them, but
    clocks have been set at 00:01), and not in hours.
    """
    if zone.key not in _UTC:
        return () if interval is Interval.HOUR else GRAINS[:1]
    coarsest = [grain.name for grain in GRAINS].index(interval)
    return tuple(grain for grain in GRAINS[: coarsest + 1] if grain.name != "week" or interval is Interval.WEEK)


_UTC = frozenset({"UTC", "Etc/UTC", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal", "Etc/Universal"})


def count_blogs(draft: Draft) -> Draft:
    """By states when that was asked and some dimension set keeps them for these columns; else by keys."""
    question = draft.question
    states = not question.exact and any(
        _serves(one, question, Counting.STATES) for one in question.dataset.dimension_sets
    )
    return replace(draft, counting=Counting.STATES if states else Counting.KEYS)


def choose_sources(draft: Draft) -> Draft:
    """Per grain, coarse to fine, the smallest dimension set that serves; then raw, which serves everything."""
    found = []
    for grain in reversed(draft.grains):
        if not all(grain.name in one.grains for one in draft.question.measures):
            continue
        serving = [one for one in grain.dataset.dimension_sets if one in grain.dimension_sets]
        for one in serving:
            if _serves(one, draft.question, draft.counting):
                found.append(Source(grain.table, grain, one))
                break
    return replace(draft, sources=(*found, Source(draft.question.dataset.raw)))


def cut_at_borders(draft: Draft) -> Draft:
    """The asked range, cut wherever a bucket must not reach across."""
    question = draft.question
    whole = Range(_epoch(question.start, -inf), _epoch(question.end, inf))
    inside = {*map(epoch_ms, (*question.edges, *instants(question.condition)))}
    borders = sorted({*whole, *(one for one in inside if whole.start < one < whole.end)})
    return replace(draft, left=tuple(Range(*piece) for piece in pairwise(borders)), pieces=len(borders) - 1)


def cover_coarsest_first(draft: Draft) -> Draft:
    """Each source takes the whole buckets it has of what is left."""
    return reduce(_cover, draft.sources, draft)


def spare_segments(draft: Draft) -> Draft:
    """Leaves out, one by one, the sources whose rows cost less from finer ones than a segment of their own.

    Twelve months are read as fast as their year; one statement more in the union takes longer.
    """
    if not draft.existing.rows or draft.pieces > _MANY or len(draft.segments) == 1:
        return draft
    while True:
        spared = [_without(draft, segment.source) for segment in draft.segments if segment.source.grain]
        best = min((one for one in spared if not one.left), key=_cost, default=draft)
        if _cost(best) >= _cost(draft):
            return draft
        draft = best


def _without(draft: Draft, source: Source) -> Draft:
    fewer = tuple(one for one in draft.sources if one != source)
    return cover_coarsest_first(cut_at_borders(replace(draft, sources=fewer, segments=())))


# Pieces: where there are more, one segment more is nothing, and trying without each source takes longer than it saves.
_MANY = 50

# Microseconds, measured on 50 M events (docs/decisions/0007): planning a segment; reading and merging a row's bitmap,
# and each blog in it, which cost no more from a thousand on; a row's key; an event.
_SEGMENT, _STATE, _BLOG, _KEY, _EVENT = 2500.0, 0.2, 0.006, 0.1, 0.05
_DENSE = 1_000

# What an open side is taken for.
_AGES = 5 * 366 * DAY

# Raw is read by so many rows at least.
_GRANULE = 8_192


def _cost(draft: Draft) -> float:
    return sum(_SEGMENT + _rows_cost(segment, draft) for segment in draft.segments)


def _rows_cost(segment: Segment, draft: Draft) -> float:
    grain, dimension_set = segment.source.grain, segment.source.dimension_set
    lengths = [one.end - one.start if isfinite(one.end - one.start) else _AGES for one in segment.ranges]
    if grain is None or dimension_set is None:
        daily = draft.existing.rows.get((segment.source.table, ""), 0.0)
        return sum(max(length / DAY * daily, _GRANULE) for length in lengths) * _EVENT
    part = (grain.table, dimension_set.name)
    rows = sum(lengths) / grain.longest * draft.existing.rows.get(part, 1.0)
    if draft.counting is Counting.KEYS:
        return rows * _KEY
    return rows * (_STATE + _BLOG * min(draft.existing.blogs.get(part, 1.0), _DENSE))


def refuse_gaps(draft: Draft) -> Draft:
    if draft.left:
        serving = tuple(one.grain for one in reversed(draft.sources) if one.grain)
        since = draft.existing.since[draft.question.dataset.raw]
        raise Expired(Range(draft.left[0].start, draft.left[-1].end), since, serving)
    return draft


STEPS = (count_blogs, choose_sources, cut_at_borders, cover_coarsest_first, refuse_gaps, spare_segments)


def match(source: Source, piece: Range, since: float) -> Match:
    """Whether the source, which begins at `since`, still has the rows of a piece, and buckets that fit into it."""
    if since >= piece.end or (source.grain and piece.end - piece.start < source.grain.shortest):
        return Match.NONE
    return Match.FULL if since <= piece.start else Match.PARTIAL


def _cover(draft: Draft, source: Source) -> Draft:
    # A thousand days need not each be asked whether they are a year.
    if source.grain and all(piece.end - piece.start < source.grain.shortest for piece in draft.left):
        return draft
    since = draft.existing.since.get(source.table, -inf)
    taken: list[Range] = []
    left: list[Range] = []
    for piece in draft.left:
        matched = match(source, piece, since)
        found = None if matched is Match.NONE else _whole_buckets(source.grain, max(piece.start, since), piece.end)
        if found is None:
            left.append(piece)
            continue
        if piece.start < found.start:
            left.append(Range(piece.start, found.start))
        if found.end < piece.end:
            left.append(Range(found.end, piece.end))
        if taken and taken[-1].end == found.start:
            taken[-1] = Range(taken[-1].start, found.end)
        else:
            taken.append(found)
    segments = (*draft.segments, Segment(source, tuple(taken))) if taken else draft.segments
    return replace(draft, left=tuple(left), segments=segments)


def _whole_buckets(grain: Grain | None, start: float, end: float) -> Range | None:
    if grain is None:
        return Range(start, end)
    first = start if start == -inf else grain.ceiling(int(start))
    last = end if end == inf else grain.floor(int(end))
    return Range(first, last) if first < last else None


def _serves(dimension_set: DimensionSet, question: Asked, counting: Counting) -> bool:
    return question.columns <= dimension_set.columns and all(
        one.key in dimension_set.columns
        if one.key and counting is Counting.KEYS
        else dimension_set.name in one.carried_by
        for one in question.measures
    )


def _epoch(instant: datetime | None, open_end: float) -> float:
    return open_end if instant is None else epoch_ms(instant)
