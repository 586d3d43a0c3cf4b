"""Around every change of a clock since 2000, in every zone with a history of its own, periods are the oracle's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from clickhouse.periods import Interval, periods
from tests import oracle_calendar as oracle

AROUND = {Interval.HOUR: timedelta(hours=3), Interval.DAY: timedelta(days=2), Interval.WEEK: timedelta(days=9)}

Change = tuple[datetime, timedelta | None]


def changes(zone: ZoneInfo) -> Iterator[Change]:
    """When the zone's offset changed, to the minute, and what it became."""
    moment, last = datetime(2000, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    while moment < last:
        following = moment + timedelta(days=7)
        if following.astimezone(zone).utcoffset() != moment.astimezone(zone).utcoffset():
            change = _between(zone, moment, following)
            yield change, change.astimezone(zone).utcoffset()
        moment = following


def _between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = (before + (after - before) / 2).replace(second=0, microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


@pytest.fixture(scope="module")
def histories() -> dict[tuple[Change, ...], str]:
    """One zone of each history."""
    return {tuple(changes(ZoneInfo(name))): name for name in sorted(available_timezones())}


@pytest.mark.parametrize("interval", AROUND)
def test_periods_around_every_clock_change(histories: dict[tuple[Change, ...], str], interval: Interval) -> None:
    compared = 0
    for history, name in histories.items():
        for change, _ in history:
            start, end = change - AROUND[interval], change + AROUND[interval]
            found = [
                (oracle.instant(period.start.isoformat()), period.name)
                for period in periods(interval, ZoneInfo(name), start, end)
            ]
            first, last = oracle.instant(start.isoformat()), oracle.instant(end.isoformat()) - 1
            expected = oracle.from_to(
                interval, name, oracle.period_of(first, interval, name), oracle.period_of(last, interval, name)
            )
            assert found == [(period.start, period.name) for period in expected], (name, change)
            compared += 1
    assert compared > 1_000
