"""Calendar periods in a zone: minutes, hours, days, ISO weeks, months and years, as half-open pieces of UTC.

All arithmetic is on the zone's wall clock and only then turned into instants, so that a local day may have 23
or 25 hours and a zone may be 5:45 away from UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

# 100,000 hours are eleven years; generating them takes about 0.2 s. More rows than that nobody reads.
MAX_PERIODS = 100_000

# Not calendar.month_name: that one speaks the language of the process's locale.
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Interval(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


_SHORTEST = {
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(minutes=30),
    Interval.DAY: timedelta(hours=23),
    Interval.WEEK: timedelta(days=6),
    Interval.MONTH: timedelta(days=27),
    Interval.YEAR: timedelta(days=364),
}

_STEP = {
    Interval.DAY: timedelta(days=1),
    Interval.WEEK: timedelta(days=7),
    Interval.MONTH: timedelta(days=31),
    Interval.YEAR: timedelta(days=366),
}

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class TooManyPeriods(ValueError):
    """A range holds more periods of the asked interval than are wanted."""


class Period(NamedTuple):
    """`[start, end)` in UTC: what one calendar period of the zone is."""

    start: datetime
    end: datetime
    interval: Interval
    zone: ZoneInfo

    @property
    def name(self) -> str:
        """Identifies and sorts: 2025-01-08 14:05, 2025-01-08 14:00, 2025-01-08, 2025-W02, 2025-01, 2025."""
        return _NAMES[self.interval](self.start.astimezone(self.zone))

    @property
    def label(self) -> str:
        """Is read: January 2025; otherwise the name."""
        if self.interval is not Interval.MONTH:
            return self.name
        local = self.start.astimezone(self.zone)
        return f"{_MONTHS[local.month - 1]} {local.year}"


# By hand: a strftime takes 2.4 µs, and a daily chart of three years has a thousand names.
_NAMES: dict[Interval, Callable[[datetime], str]] = {
    Interval.MINUTE: lambda local: f"{local.date().isoformat()} {local.hour:02}:{local.minute:02}",
    Interval.HOUR: lambda local: f"{local.date().isoformat()} {local.hour:02}:00",
    Interval.DAY: lambda local: local.date().isoformat(),
    Interval.WEEK: lambda local: "{:04}-W{:02}".format(*local.isocalendar()),
    Interval.MONTH: lambda local: local.date().isoformat()[:7],
    Interval.YEAR: lambda local: f"{local.year:04}",
}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local date, in UTC; where clocks skip midnight, the instant they skip."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def periods(
    interval: Interval, zone: ZoneInfo, start: datetime, end: datetime, most: int = MAX_PERIODS
) -> list[Period]:
    """The calendar periods that overlap `[start, end)`, ascending, whole (not clipped to the range).

    Local days that never happened (2011-12-30 in Apia) are left out.

    Raises:
        TooManyPeriods: there are more than `most`.
    """
    if (end - start) / _SHORTEST[interval] > most * 2:
        raise TooManyPeriods
    starts = _starts(interval, zone, start)
    found: list[Period] = []
    for this, following in pairwise(starts):
        if this >= end:
            break
        if this < following and following > start:
            found.append(Period(this, following, interval, zone))
        if len(found) > most:
            raise TooManyPeriods
    return found


def _starts(interval: Interval, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    match interval:
        case Interval.MINUTE:
            return _minutes(start)
        case Interval.HOUR:
            return _hours(zone, start)
        case _:
            return _calendar(interval, zone, start)


def _minutes(start: datetime) -> Iterator[datetime]:
    """Every zone's are those of UTC: since 1972 clocks have been set by whole minutes."""
    instant = start.replace(second=0, microsecond=0)
    while True:
        yield instant
        instant += _MINUTE


def _calendar(interval: Interval, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Starts of local days, weeks, months or years, from the one that holds `start`."""
    day = _first_day(interval, start.astimezone(zone).date())
    while True:
        yield midnight(day, zone)
        # A step that surely reaches the next period and never the one after it; flooring does the rest.
        day = _first_day(interval, day + _STEP[interval])


def _first_day(interval: Interval, day: date) -> date:
    match interval:
        case Interval.WEEK:
            return day - timedelta(days=day.weekday())
        case Interval.MONTH:
            return day.replace(day=1)
        case Interval.YEAR:
            return day.replace(month=1, day=1)
        case _:
            return day


def _hours(zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """Starts of local clock hours, from the local midnight before `start`.

    An hour that the clock shows twice gives two; one stretched to 90 minutes (Lord Howe) gives one.
    """
    for today, tomorrow in pairwise(_calendar(Interval.DAY, zone, start)):
        if tomorrow - today == _DAY:
            # No change of the clock: 100,000 hours take 0.1 s this way, and 1.2 s asking the zone about each.
            yield from (today + hour * _HOUR for hour in range(24))
        else:
            yield from _hours_of_a_changed_day(zone, today, tomorrow)


def _hours_of_a_changed_day(zone: ZoneInfo, instant: datetime, tomorrow: datetime) -> Iterator[datetime]:
    while instant < tomorrow:
        yield instant
        local = instant.astimezone(zone)
        following = instant + timedelta(minutes=60 - local.minute)
        if following.astimezone(zone).utcoffset() != local.utcoffset():
            following = _next_hour_over_a_change(zone, instant)
        instant = following


def _next_hour_over_a_change(zone: ZoneInfo, instant: datetime) -> datetime:
    """The clock is changed within the next hour, not always on the hour (Caracas 2016: 02:30 became 03:00)."""
    shown = instant.astimezone(zone).hour
    while True:
        instant += timedelta(minutes=1)
        local = instant.astimezone(zone)
        if local.minute == 0 or local.hour != shown:
            return instant
