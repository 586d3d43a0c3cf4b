"""Calendar periods, found another way than the product finds them: by what the local clock shows at an instant."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Period:
    """A row of a calendar: a minute, an hour, or the day, week, month or year that begins with a local date."""

    start: int
    name: str
    label: str


def instant(given: str | int) -> int:
    """Epoch milliseconds of what clients send."""
    return given if isinstance(given, int) else (datetime.fromisoformat(given) - EPOCH) // timedelta(milliseconds=1)


def rfc3339(at: int) -> str:
    return moment(at).isoformat(timespec="milliseconds" if at % SECOND else "seconds").replace("+00:00", "Z")


def moment(at: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at)


def clock(at: int, zone: str) -> datetime:
    """What the clocks of `zone` show."""
    return moment(at).astimezone(ZoneInfo(zone))


def period_of(at: int, interval: str, zone: str) -> Period:
    if interval == "minute":
        return _minute(at - at % MINUTE, zone)
    if interval != "hour":
        return _period(interval, _first_day(interval, latest_date(at, zone)), zone)
    at -= at % MINUTE
    while not _begins_hour(at, zone):
        at -= MINUTE
    return _hour(at, zone)


@cache
def from_to(interval: str, zone: str, first: Period, last: Period) -> list[Period]:
    """Enumerates the local calendar: every clock hour, or every date, each in the period it belongs to."""
    if interval == "hour":
        hours = [first]
        while hours[-1] < last:
            hours.append(_hour(_next_hour(hours[-1].start, zone), zone))
        return hours
    day, until = latest_date(first.start, zone), latest_date(last.start, zone)
    days = [day + timedelta(days=n) for n in range((until - day).days + 1)]
    periods = {_first_day(interval, day): None for day in days if _happened(day, zone)}
    return [_period(interval, day, zone) for day in periods]


def _first_day(interval: str, day: date) -> date:
    into = {
        "day": 0,
        "week": day.isocalendar().weekday - 1,
        "month": day.day - 1,
        "year": day.timetuple().tm_yday - 1,
    }
    return day - timedelta(days=into[interval])


@cache
def _period(interval: str, day: date, zone: str) -> Period:
    iso = day.isocalendar()
    name = {
        "day": day.isoformat(),
        "week": f"{iso.year}-W{iso.week:02}",
        "month": day.isoformat()[:7],
        "year": day.isoformat()[:4],
    }[interval]
    return Period(first_instant(day, zone), name, f"{day:%B %Y}" if interval == "month" else name)


def _minute(start: int, zone: str) -> Period:
    name = clock(start, zone).strftime("%Y-%m-%d %H:%M")
    return Period(start, name, name)


def _hour(start: int, zone: str) -> Period:
    name = clock(start, zone).strftime("%Y-%m-%d %H:00")
    return Period(start, name, name)


def _begins_hour(at: int, zone: str) -> bool:
    """An hour begins when the clock comes to :00, and when it is set to another hour than it showed."""
    now, before = clock(at, zone), clock(at - MINUTE, zone)
    return now.minute == 0 or (now.date(), now.hour) != (before.date(), before.hour)


def _next_hour(start: int, zone: str) -> int:
    now, later = clock(start, zone), clock(start + HOUR, zone)
    if now.minute == 0 and now.utcoffset() == later.utcoffset():
        return start + HOUR
    start += MINUTE
    while not _begins_hour(start, zone):
        start += MINUTE
    return start


@cache
def latest_date(at: int, zone: str) -> date:
    """The latest date the local clock has shown up to `at`: a date does not begin again when clocks are set back."""
    now = clock(at, zone)
    if not now.fold:
        return now.date()
    before = at - at % MINUTE
    while clock(before, zone).utcoffset() == now.utcoffset():
        before -= MINUTE
    return max(now.date(), clock(before, zone).date())


@cache
def first_instant(day: date, zone: str) -> int:
    """When the local clock first shows `day`, or a later date where `day` never happened."""
    noon = instant(f"{day}T12:00:00+00:00")
    minutes = range(noon - 2 * DAY, noon + 2 * DAY, MINUTE)
    return minutes[bisect_left(minutes, day, key=lambda at: latest_date(at, zone))]


def _happened(day: date, zone: str) -> bool:
    return latest_date(first_instant(day, zone), zone) == day
