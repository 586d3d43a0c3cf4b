"""The asked range as half-open UTC, from dates, timestamps, `range` or `year` in the asked zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from clickhouse.periods import midnight
from clickhouse.question import Distinct, Group, Question
from service.analytics.moments import is_date, span
from service.analytics.parameters import Parameters, Ranged
from service.problems import Invalid

# What a DateTime column can be compared with, a day's distance from its ends for any zone's sake.
FIRST = datetime(1970, 1, 2, tzinfo=UTC)
LAST = datetime(2106, 1, 2, tzinfo=UTC)

_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class Range:
    """`[start, end)` in UTC to the millisecond, None is open; resolved at `now`."""

    start: datetime | None
    end: datetime | None
    zone: ZoneInfo
    now: datetime

    def question(self, asked: Parameters, group: Group | None, distinct: Distinct) -> Question:
        """What is asked, over this range; `distinct` where it does not say. Raises Invalid for a wrong filter."""
        condition = asked.condition(self.zone)
        return Question(asked.site, self.start, self.end, group, (), condition, asked.distinct or distinct)


def resolve(asked: Ranged, now: datetime) -> Range:
    """Raises Invalid for a range that is malformed, contradictory, backwards or out of bounds."""
    zone = _zone(asked.timezone)
    _refuse_contradictions(asked)
    if asked.range is not None:
        until = _to_millisecond(now)
        return Range(until - timedelta(days=_DAYS[asked.range]), until, zone, now)
    if asked.year is not None:
        return Range(
            _bounded("year", midnight(date(asked.year, 1, 1), zone)),
            _bounded("year", midnight(date(asked.year + 1, 1, 1), zone)),
            zone,
            now,
        )
    start = _moment("start", asked.start, zone, is_end=False) if asked.start is not None else None
    end = _moment("end", asked.end, zone, is_end=True) if asked.end is not None else None
    if start is not None and end is not None and start >= end:
        raise Invalid.field("end", "must be after start")
    return Range(start, end, zone, now)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise Invalid.field("timezone", "must be an IANA time zone such as Asia/Kathmandu")
    return ZoneInfo(name)


def _refuse_contradictions(asked: Ranged) -> None:
    given = [name for name in ("range", "year") if getattr(asked, name) is not None]
    if asked.start is not None or asked.end is not None:
        given.append("start and end")
    if len(given) > 1:
        raise Invalid.field(given[0], f"cannot be given together with {given[1]}")


def _moment(field: str, text: str, zone: ZoneInfo, *, is_end: bool) -> datetime:
    """A date that ends a range is included, a timestamp is not."""
    try:
        first, after = span(text, zone)
    except ValueError as error:
        # What an unescaped + arrives as.
        hint = " (in an address, write + as %2B)" if " " in text else ""
        raise Invalid.field(field, f"{error}{hint}") from None
    return _bounded(field, after if is_end and is_date(text) else first)


def _to_millisecond(moment: datetime) -> datetime:
    """Rounded up: stored times are whole milliseconds, so `>=` and `<` keep their meaning."""
    return moment + timedelta(microseconds=-moment.microsecond % 1000)


def _bounded(field: str, moment: datetime) -> datetime:
    if not FIRST <= moment <= LAST:
        raise Invalid.field(field, f"must lie between {FIRST:%Y-%m-%d} and {LAST:%Y-%m-%d}")
    return moment
