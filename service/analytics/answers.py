"""From a question to the rows a chart draws: x is the label, y and z the numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from clickhouse import render
from clickhouse.engine import Row
from clickhouse.instants import EPOCH, epoch_s, from_epoch_ms, rfc3339
from clickhouse.periods import MAX_PERIODS, Interval, Period, TooManyPeriods, periods
from clickhouse.plan import Expired, Plan, nesting
from clickhouse.question import Group, Question, SeriesQuestion
from clickhouse.rollups import GRAINS
from clickhouse.shapes import DAY
from clickhouse.statement import Statement
from clickhouse.tables import Tables
from service import countries
from service.analytics.expiry import explanation
from service.analytics.ranges import Range
from service.paging import PageOf
from service.problems import Invalid

Results = list[dict[str, Any]]
Q = TypeVar("Q", Question, SeriesQuestion)


@dataclass(frozen=True)
class Answer:
    """One page of rows, how many there are on all pages, and how they were found (None: nothing was read)."""

    count: int
    results: Results
    asked: Asked | None = None


@dataclass(frozen=True)
class Asked:
    """A plan and the statement it became."""

    plan: Plan
    statement: Statement


async def by_group(tables: Tables, question: Question, page: PageOf, limit: int | None = None) -> Answer:
    """One row a group, most views first; at most `limit` over all pages."""
    rows_wanted = page.size if limit is None else max(0, min(page.size, limit - page.offset))
    asked = await _ask(tables, question, lambda found: render.groups(question, found, rows_wanted, page.offset))
    rows = await tables.engine.ask(asked.statement)
    count = rows[0][-1] if rows else 0
    named = await _labels(tables, question, {row[0] for row in rows})
    results = [{"x": named[id_], "id": id_, "y": blogs, "z": views} for id_, _, blogs, views, _ in rows]
    return Answer(count if limit is None else min(count, limit), results, asked)


async def by_group_and_period(
    tables: Tables, question: Question, interval: Interval, zone: ZoneInfo, page: PageOf
) -> Answer:
    """One row a group and period with views, most views first."""
    wanted = await _periods(tables, question, interval, zone)
    if not wanted:
        return Answer(0, [])
    question = over(question, wanted)
    by_edge = dict(zip(map(epoch_s, question.edges), wanted, strict=True))
    asked = await _ask(tables, question, lambda found: render.groups(question, found, page.size, page.offset))
    rows = await tables.engine.ask(asked.statement)
    named = await _labels(tables, question, {row[0] for row in rows})
    results = [
        {
            "x": f"{named[id_]} - {by_edge[edge].name}",
            "id": id_,
            "period": by_edge[edge].name,
            "start": rfc3339(by_edge[edge].start),
            "y": blogs,
            "z": views,
        }
        for id_, edge, blogs, views, _ in rows
    ]
    return Answer(rows[0][-1] if rows else 0, results, asked)


async def by_period(
    tables: Tables, question: Question, interval: Interval, range_: Range, page: PageOf, *, created: bool, fair: bool
) -> Answer:
    """One row a period, ascending, without gaps; only the page's periods and the one before them are read.

    `fair`: the growth of a period that is not over is that over the same elapsed part of the one before.
    """
    wanted = await _periods(tables, question, interval, range_.zone, created=created)
    shown = wanted[page.offset : page.offset + page.size]
    if not shown:
        return Answer(len(wanted), [])
    before = wanted[max(page.offset - 1, 0) : page.offset]
    read = over(question, [*before, *shown])
    asked = await _ask(tables, read, lambda found: render.by_period(read, found))
    rows = await tables.engine.ask(asked.statement)
    views = {row[0]: row[2] for row in rows}
    counted = await tables.engine.ask(render.creations(read)) if created else rows
    blogs = {row[0]: row[1] for row in counted}
    results: Results = []
    previous: int | None = None
    for edge, period in zip(map(epoch_s, read.edges), [*before, *shown], strict=True):
        current = views.get(edge, 0)
        number = blogs.get(edge, 0)
        name = period.name
        label = period.label if interval is Interval.MONTH else name
        row = {
            "x": f"{label} ({number})",
            "period": name,
            "start": rfc3339(period.start),
            "blogs": number,
            "y": current,
            "z": growth(previous, current),
        }
        if period.start <= range_.now < period.end:
            row["partial"] = True
            if fair and previous is not None:
                row["z"] = growth(await _elapsed(tables, question, wanted, period, range_.now), current)
        results.append(row)
        previous = current
    return Answer(len(wanted), results[len(before) :], asked)


async def _elapsed(tables: Tables, question: Question, wanted: list[Period], period: Period, now: datetime) -> int:
    """Views of the period before in as much of it as has passed of this one."""
    before = wanted[wanted.index(period) - 1]
    part = over(question, [before])
    end = min(before.start + (now - period.start), before.end)
    if part.start is None or end <= part.start:
        return 0
    part = replace(part, end=end)
    try:
        found = await tables.plan(part)
    except Expired as expired:
        raise Invalid.field("compare_to", explanation(expired)) from None
    rows = await tables.engine.ask(render.by_period(part, found))
    return sum(row[2] for row in rows)


def growth(previous: int | None, current: int) -> float | None:
    """Percent over the previous period, two decimals; from nothing to something is 100, else null."""
    if previous is None:
        return None
    if previous == 0:
        return 100.0 if current else None
    return round((current - previous) / previous * 100, 2)


async def _periods(
    tables: Tables,
    question: Question,
    interval: Interval,
    zone: ZoneInfo,
    *,
    created: bool = False,
) -> list[Period]:
    """The periods of the asked range; an open side ends where the data does. Empty when there is none.

    Raises:
        Invalid: more periods than anyone reads.
    """
    start, end = question.start, question.end
    if start is None or end is None:
        ends = await _ends(tables, question, interval, zone, created=created)
        if ends is None:
            return []
        start, end = start or ends[0], end or ends[1]
    return periods_of(interval, zone, start, end)


def periods_of(
    interval: Interval, zone: ZoneInfo, start: datetime, end: datetime, field: str = "start"
) -> list[Period]:
    """As clickhouse.periods; too many are Invalid by the parameter `field`."""
    try:
        return periods(interval, zone, start, end)
    except TooManyPeriods:
        raise Invalid.field(
            field,
            f"the range holds more than {MAX_PERIODS} periods of one {interval}; "
            "ask for a shorter range or longer periods",
        ) from None


async def _ends(
    tables: Tables, question: Question, interval: Interval, zone: ZoneInfo, *, created: bool
) -> tuple[datetime, datetime] | None:
    """An instant in the first period that has something to show, and one just past an instant in the last."""
    found = await _view_ends(tables, question, interval, zone)
    if created:
        found += await tables.engine.ask(render.creation_bounds(question))
    found = [row for row in found if row[2]]
    if not found:
        return None
    return from_epoch_ms(min(row[0] for row in found)), from_epoch_ms(max(row[1] for row in found) + 1)


async def _view_ends(tables: Tables, question: Question, interval: Interval, zone: ZoneInfo) -> list[Row]:
    """Where buckets nest in the asked periods the first and last of them say enough. Where they don't, days tell
    where to look for the first and last event."""
    ungrouped = replace(question, group=None)
    try:
        exact = await tables.plan(ungrouped, grains=nesting(interval, zone))
    except Expired:
        # Where a period begins within a quarter hour, the question itself needs the events that have expired.
        exact = await tables.plan(ungrouped, grains=GRAINS[:1])
    if exact.segments[0].source.grain is not None:
        return await tables.engine.ask(render.bounds(ungrouped, exact))
    up_to_days = await tables.plan(ungrouped, grains=_UP_TO_DAYS)
    rough = await tables.engine.ask(render.bounds(ungrouped, up_to_days))
    found: list[Row] = []
    for at in (rough[0][0], rough[0][1]) if rough[0][2] else ():
        start, end = from_epoch_ms(at), from_epoch_ms(at) + timedelta(days=1)
        day = replace(
            ungrouped,
            start=max(start, question.start or start),
            end=min(end, question.end or end),
        )
        found += await tables.engine.ask(render.bounds(day, await tables.plan(day, grains=())))
    return found


_UP_TO_DAYS = tuple(grain for grain in GRAINS if grain.longest <= DAY)


async def _ask(tables: Tables, question: Question, rendered: Callable[[Plan], Statement]) -> Asked:
    found = await tables.plan(question)
    return Asked(found, rendered(found))


def over(question: Q, asked: list[Period]) -> Q:
    """The question cut to these periods; the first edge and the end stay within the asked range.

    A period may begin before 1970, which a DateTime cannot hold, but nothing was viewed or created then.
    """
    start = max(asked[0].start, question.start or EPOCH)
    end = min(asked[-1].end, question.end or asked[-1].end)
    return replace(question, start=start, end=end, edges=(start, *(period.start for period in asked[1:])))


async def _labels(tables: Tables, question: Question, ids: set[str]) -> dict[str, str]:
    if question.group is None or question.group is Group.COUNTRY:
        return {id_: countries.label(id_) for id_ in ids}
    known = await tables.labels.of(question.site, question.group, ids)
    return {id_: known.get(id_, id_) or countries.UNKNOWN for id_ in ids}
