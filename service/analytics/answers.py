"""From a question to the rows a chart draws: x is the label, y and z the numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from clickhouse import render
from clickhouse.blogs import labels
from clickhouse.engine import Engine
from clickhouse.instants import EPOCH, epoch_s, from_epoch_ms, rfc3339
from clickhouse.periods import MAX_PERIODS, Interval, Period, TooManyPeriods, periods
from clickhouse.plan import Segment, plan, plan_bounds
from clickhouse.question import Group, Question
from service import countries
from service.paging import PageOf
from service.problems import Invalid

# Periods of one statement; a server takes 128 kB a value. Thirty years of days.
MAX_EDGES = 11_000

Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """One page of rows, how many there are on all pages, and the table that gave them (None: nothing asked)."""

    count: int
    results: Results
    segment: Segment | None


async def by_group(engine: Engine, question: Question, page: PageOf, limit: int | None = None) -> Answer:
    """One row a group, most views first; at most `limit` over all pages."""
    rows_wanted = page.size if limit is None else max(0, min(page.size, limit - page.offset))
    segment = plan(question)
    rows = await engine.select(render.groups(question, segment, rows_wanted, page.offset))
    count = rows[0][-1] if rows else 0
    named = await _labels(engine, question, {row[0] for row in rows})
    results = [{"x": named[id_], "id": id_, "y": blogs, "z": views} for id_, _, blogs, views, _ in rows]
    return Answer(count if limit is None else min(count, limit), results, segment)


async def by_group_and_period(
    engine: Engine, question: Question, interval: Interval, zone: ZoneInfo, page: PageOf
) -> Answer:
    """One row a group and period with views, most views first."""
    asked = await _periods(engine, question, interval, zone, most=MAX_EDGES)
    if not asked:
        return Answer(0, [], None)
    question = _over(question, asked)
    by_edge = dict(zip(map(epoch_s, question.edges), asked, strict=True))
    segment = plan(question)
    rows = await engine.select(render.groups(question, segment, page.size, page.offset))
    named = await _labels(engine, question, {row[0] for row in rows})
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
    return Answer(rows[0][-1] if rows else 0, results, segment)


async def by_period(
    engine: Engine, question: Question, interval: Interval, zone: ZoneInfo, page: PageOf, *, created: bool
) -> Answer:
    """One row a period, ascending, without gaps; only the page's periods and the one before them are read."""
    asked = await _periods(engine, question, interval, zone, created=created)
    shown = asked[page.offset : page.offset + page.size]
    if not shown:
        return Answer(len(asked), [], None)
    before = asked[max(page.offset - 1, 0) : page.offset]
    question = _over(question, [*before, *shown])
    segment = plan(question)
    rows = await engine.select(render.by_period(question, segment))
    views = {row[0]: row[2] for row in rows}
    counted = await engine.select(render.creations(question)) if created else rows
    blogs = {row[0]: row[1] for row in counted}
    results: Results = []
    previous: int | None = None
    for edge, period in zip(map(epoch_s, question.edges), [*before, *shown], strict=True):
        current = views.get(edge, 0)
        number = blogs.get(edge, 0)
        results.append(
            {
                "x": f"{period.label} ({number})",
                "period": period.name,
                "start": rfc3339(period.start),
                "blogs": number,
                "y": current,
                "z": growth(previous, current),
            }
        )
        previous = current
    return Answer(len(asked), results[len(before) :], segment)


def growth(previous: int | None, current: int) -> float | None:
    """Percent over the previous period, two decimals; from nothing to something is 100, else null."""
    if previous is None:
        return None
    if previous == 0:
        return 100.0 if current else None
    return round((current - previous) / previous * 100, 2)


async def _periods(
    engine: Engine,
    question: Question,
    interval: Interval,
    zone: ZoneInfo,
    *,
    created: bool = False,
    most: int = MAX_PERIODS,
) -> list[Period]:
    """The periods of the asked range; an open side ends where the data does. Empty when there is none.

    Raises:
        Invalid: more periods than anyone reads.
    """
    start, end = question.start, question.end
    if start is None or end is None:
        ends = await _ends(engine, question, interval, zone, created=created)
        if ends is None:
            return []
        start, end = start or ends[0], end or ends[1]
    try:
        return periods(interval, zone, start, end, most)
    except TooManyPeriods:
        raise Invalid.field(
            "start",
            f"the range holds more than {most} periods of one {interval}; ask for a shorter range or longer periods",
        ) from None


async def _ends(
    engine: Engine, question: Question, interval: Interval, zone: ZoneInfo, *, created: bool
) -> tuple[datetime, datetime] | None:
    """An instant in the first period that has something to show, and one just past an instant in the last."""
    statements = [render.bounds(question, plan_bounds(question, interval, zone))]
    if created:
        statements.append(render.creation_bounds(question))
    found = [row for statement in statements for row in await engine.select(statement) if row[2]]
    if not found:
        return None
    return from_epoch_ms(min(row[0] for row in found)), from_epoch_ms(max(row[1] for row in found) + 1)


def _over(question: Question, asked: list[Period]) -> Question:
    """The question cut to these periods; the first edge and the end stay within the asked range.

    A period may begin before 1970, which a DateTime cannot hold, but nothing was viewed or created then.
    """
    start = max(asked[0].start, question.start or EPOCH)
    end = min(asked[-1].end, question.end or asked[-1].end)
    return replace(question, start=start, end=end, edges=(start, *(period.start for period in asked[1:])))


async def _labels(engine: Engine, question: Question, ids: set[str]) -> dict[str, str]:
    if question.group is None or question.group is Group.COUNTRY:
        return {id_: countries.label(id_) for id_ in ids}
    known = await labels(engine, question.site, question.group, ids)
    return {id_: known.get(id_, id_) or countries.UNKNOWN for id_ in ids}
