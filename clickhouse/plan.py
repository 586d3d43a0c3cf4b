"""Which tables answer a question: a range is cut into segments, the coarsest grain inside, finer ones at its ends.

A plan is made by a fold of pure steps over a `Draft`. What makes it exact: the ends of the range, of every asked
period and of every condition on time are *borders*, and a grain may cover only whole buckets that no border cuts.
What is left over goes to the next finer grain, and at last to raw. All instants are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import reduce
from itertools import pairwise
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clickhouse.conditions import columns, instants
from clickhouse.instants import epoch_ms
from clickhouse.periods import Interval
from clickhouse.question import Distinct, Question
from clickhouse.rollups import DIMENSION_SETS, EVENTS, GRAINS, DimensionSet, Grain, measure


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
    """One dimension set of one grain; raw events have neither."""

    grain: Grain | None = None
    dimension_set: DimensionSet | None = None

    @property
    def table(self) -> str:
        return self.grain.table if self.grain else EVENTS

    @property
    def grain_name(self) -> str:
        return self.grain.name if self.grain else "raw"


RAW = Source()


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


@dataclass(frozen=True)
class Existing:
    """What there is to read. `since`: the first instant a table still covers, where its rows expire."""

    since: Mapping[str, int] = field(default_factory=dict)


class Expired(Exception):
    """Rows that an exact answer needs are gone; the rest of the range can be answered."""

    def __init__(self, gap: Range) -> None:
        super().__init__(gap)
        self.gap = gap


@dataclass(frozen=True)
class Draft:
    """A plan in the making: `left` is what no segment covers yet, in pieces that lie between two borders."""

    question: Question
    existing: Existing
    grains: tuple[Grain, ...] = GRAINS
    counting: Counting = Counting.KEYS
    sources: tuple[Source, ...] = ()
    left: tuple[Range, ...] = ()
    segments: tuple[Segment, ...] = ()


def plan(question: Question, existing: Existing | None = None, grains: tuple[Grain, ...] = GRAINS) -> Plan:
    """The fewest rows that answer `question` exactly, from these grains (fine to coarse) and raw.

    Raises:
        Expired: a part of the range is in no table any more.
    """
    draft = reduce(lambda draft, step: step(draft), STEPS, Draft(question, existing or Existing(), grains))
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
    states = draft.question.distinct is Distinct.APPROX and any(
        _serves(one, draft.question, Counting.STATES) for one in DIMENSION_SETS
    )
    return replace(draft, counting=Counting.STATES if states else Counting.KEYS)


def choose_sources(draft: Draft) -> Draft:
    """Per grain, coarse to fine, the smallest dimension set that serves; then raw, which serves everything."""
    found = []
    for grain in reversed(draft.grains):
        serving = [one for one in DIMENSION_SETS if one in grain.dimension_sets]
        for one in serving:
            if _serves(one, draft.question, draft.counting):
                found.append(Source(grain, one))
                break
    return replace(draft, sources=(*found, RAW))


def cut_at_borders(draft: Draft) -> Draft:
    """The asked range, cut wherever a bucket must not reach across."""
    question = draft.question
    whole = Range(_epoch(question.start, -inf), _epoch(question.end, inf))
    inside = {*map(epoch_ms, (*question.edges, *instants(question.condition)))}
    borders = sorted({*whole, *(one for one in inside if whole.start < one < whole.end)})
    return replace(draft, left=tuple(Range(*piece) for piece in pairwise(borders)))


def cover_coarsest_first(draft: Draft) -> Draft:
    """Each source takes the whole buckets it has of what is left."""
    return reduce(_cover, draft.sources, draft)


def refuse_gaps(draft: Draft) -> Draft:
    if draft.left:
        raise Expired(Range(draft.left[0].start, draft.left[-1].end))
    return draft


STEPS = (count_blogs, choose_sources, cut_at_borders, cover_coarsest_first, refuse_gaps)


def match(source: Source, piece: Range, existing: Existing) -> Match:
    """Whether the source still has the rows of a piece."""
    since = existing.since.get(source.table, -inf)
    if since <= piece.start:
        return Match.FULL
    return Match.PARTIAL if since < piece.end else Match.NONE


def _cover(draft: Draft, source: Source) -> Draft:
    taken: list[Range] = []
    left: list[Range] = []
    for piece in draft.left:
        found = _whole_buckets(source, piece, draft.existing)
        if found is None:
            left.append(piece)
            continue
        ends = (Range(piece.start, found.start), Range(found.end, piece.end))
        left += [end for end in ends if end.start < end.end]
        if taken and taken[-1].end == found.start:
            taken[-1] = Range(taken[-1].start, found.end)
        else:
            taken.append(found)
    segments = (*draft.segments, Segment(source, tuple(taken))) if taken else draft.segments
    return replace(draft, left=tuple(left), segments=segments)


def _whole_buckets(source: Source, piece: Range, existing: Existing) -> Range | None:
    matched = match(source, piece, existing)
    if matched is Match.NONE:
        return None
    start = piece.start if matched is Match.FULL else existing.since[source.table]
    grain = source.grain
    if grain is None:
        return Range(start, piece.end)
    # Most pieces of a daily chart are shorter than a week: no need to ask the calendar.
    if piece.end - start < grain.shortest:
        return None
    found = Range(
        start if start == -inf else grain.ceiling(int(start)),
        piece.end if piece.end == inf else grain.floor(int(piece.end)),
    )
    return found if found.start < found.end else None


def _serves(dimension_set: DimensionSet, question: Question, counting: Counting) -> bool:
    needed = columns(question.condition) | ({question.group.column} if question.group else set())
    blogs = measure("blogs")
    counts = blogs.key in dimension_set.columns if counting is Counting.KEYS else dimension_set.name in blogs.carried_by
    return counts and needed <= dimension_set.columns


def _epoch(instant: datetime | None, open_end: float) -> float:
    return open_end if instant is None else epoch_ms(instant)
