"""Which buckets an answer has: asked for, or by the width of the range."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from clickhouse import series
from clickhouse.instants import from_epoch_ms
from clickhouse.periods import Interval
from clickhouse.question import SeriesQuestion
from clickhouse.rollups import OF_SAMPLES, SAMPLES, grain_called, sample_measure
from clickhouse.shapes import Grain
from clickhouse.tables import Tables

Ends = tuple[datetime, datetime]
"""`[start, end)`."""

RAW = "raw"

_WIDEST = (
    (timedelta(days=1), RAW),
    (timedelta(days=7), Interval.HOUR),
    (timedelta(days=30), Interval.DAY),
    (timedelta(days=90), Interval.WEEK),
)

_MINUTES = (grain_called(OF_SAMPLES, "minute"),)
_DAYS = (*_MINUTES, grain_called(OF_SAMPLES, "day"))


def by_width(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """RAW or an Interval. Seven days are seven by the zone's calendar, and 168 hours also where clocks are set."""
    first, last = (side.astimezone(zone).replace(tzinfo=None) for side in (start, end))
    width = min(end - start, last - first)
    return next((name for widest, name in _WIDEST if width <= widest), Interval.MONTH)


def table_of(interval: str) -> str:
    """The one whose rows are of this interval; what is read for an answer is the planner's choice."""
    return SAMPLES if interval == RAW else grain_called(OF_SAMPLES, interval).table


async def ends(tables: Tables, question: SeriesQuestion) -> Ends | None:
    """The asked range, an open side of which ends with the minute of the first or the last sample; None: there is none.

    Raises Expired, ClickHouseError.
    """
    if question.start is not None and question.end is not None:
        return question.start, question.end
    question = replace(question, measures=(sample_measure("count"),), group_by=())
    rough = await _bounds(tables, question, _DAYS)
    if rough is None:
        return None
    days = [_within(question, at, at + timedelta(days=1)) for at in rough]
    first, last = await asyncio.gather(*(_bounds(tables, day, _MINUTES) for day in days))
    if first is None or last is None:
        return None
    return question.start or first[0], question.end or last[1] + timedelta(minutes=1)


async def _bounds(tables: Tables, question: SeriesQuestion, grains: tuple[Grain, ...]) -> Ends | None:
    """Starts of the first and the last bucket; a sample by itself where a piece of the range is no whole bucket."""
    plan = await tables.plan(question, grains)
    [(first, last, rows)] = await tables.engine.ask(series.bounds(question, plan))
    return (from_epoch_ms(first), from_epoch_ms(last)) if rows else None


def _within(question: SeriesQuestion, start: datetime, end: datetime) -> SeriesQuestion:
    return replace(
        question,
        start=start if question.start is None else max(start, question.start),
        end=end if question.end is None else min(end, question.end),
    )
