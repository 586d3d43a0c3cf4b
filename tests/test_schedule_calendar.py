"""When schedules run and what they are about: a table, a line a case."""

from __future__ import annotations

import pytest

from tests.oracle_calendar import instant
from workers.schedule import SCHEDULES


def ms(text: str) -> int:
    """2025-01-01, or 2025-01-01T00:05, in UTC."""
    return instant(f"{text}:00Z" if "T" in text else f"{text}T00:00:00Z")


# name, now, the run that is due by then, its period, the next run
CASES = [
    # An hour is compared once it has been over for five minutes.
    ("hourly", "2025-03-10T14:05", "2025-03-10T14:05", "2025-03-10T13:00", "2025-03-10T14:00", "2025-03-10T15:05"),
    ("hourly", "2025-03-10T14:04", "2025-03-10T13:05", "2025-03-10T12:00", "2025-03-10T13:00", "2025-03-10T14:05"),
    ("hourly", "2025-01-01T00:30", "2025-01-01T00:05", "2024-12-31T23:00", "2025-01-01", "2025-01-01T01:05"),
    ("daily", "2025-01-01T00:15", "2025-01-01T00:15", "2024-12-31", "2025-01-01", "2025-01-02T00:15"),
    ("daily", "2025-01-01T00:14", "2024-12-31T00:15", "2024-12-30", "2024-12-31", "2025-01-01T00:15"),
    ("daily", "2024-03-01T12:00", "2024-03-01T00:15", "2024-02-29", "2024-03-01", "2024-03-02T00:15"),
    ("daily", "2025-03-01T12:00", "2025-03-01T00:15", "2025-02-28", "2025-03-01", "2025-03-02T00:15"),
    # 5 January 2025 is a Sunday, the last day of 2025-W01: 2024-W52 is what has closed.
    ("weekly", "2025-01-05T00:25", "2025-01-05T00:25", "2024-12-23", "2024-12-30", "2025-01-12T00:25"),
    ("weekly", "2025-01-05T00:24", "2024-12-29T00:25", "2024-12-16", "2024-12-23", "2025-01-05T00:25"),
    ("weekly", "2025-01-11T23:59", "2025-01-05T00:25", "2024-12-23", "2024-12-30", "2025-01-12T00:25"),
    # 2020 has a week 53, from 28 December to 3 January.
    ("weekly", "2021-01-03T12:00", "2021-01-03T00:25", "2020-12-21", "2020-12-28", "2021-01-10T00:25"),
    ("weekly", "2021-01-10T12:00", "2021-01-10T00:25", "2020-12-28", "2021-01-04", "2021-01-17T00:25"),
    ("weekly", "2024-03-03T12:00", "2024-03-03T00:25", "2024-02-19", "2024-02-26", "2024-03-10T00:25"),
    # January's run is about December; the one of February 2025 about January, where others took December.
    ("monthly", "2025-01-01T00:35", "2025-01-01T00:35", "2024-12-01", "2025-01-01", "2025-02-01T00:35"),
    ("monthly", "2025-02-01T00:35", "2025-02-01T00:35", "2025-01-01", "2025-02-01", "2025-03-01T00:35"),
    ("monthly", "2025-02-01T00:34", "2025-01-01T00:35", "2024-12-01", "2025-01-01", "2025-02-01T00:35"),
    ("monthly", "2024-03-31T23:59", "2024-03-01T00:35", "2024-02-01", "2024-03-01", "2024-04-01T00:35"),
    ("monthly", "2025-12-31T23:59", "2025-12-01T00:35", "2025-11-01", "2025-12-01", "2026-01-01T00:35"),
    ("yearly", "2025-01-01T00:45", "2025-01-01T00:45", "2024-01-01", "2025-01-01", "2026-01-01T00:45"),
    ("yearly", "2025-01-01T00:44", "2024-01-01T00:45", "2023-01-01", "2024-01-01", "2025-01-01T00:45"),
    ("yearly", "2024-12-31T23:59", "2024-01-01T00:45", "2023-01-01", "2024-01-01", "2025-01-01T00:45"),
    ("retention", "2025-01-01T01:15", "2025-01-01T01:15", "2024-12-31", "2025-01-01", "2025-01-02T01:15"),
    ("compaction", "2025-01-05T02:15", "2025-01-05T02:15", "2024-12-23", "2024-12-30", "2025-01-12T02:15"),
]


@pytest.mark.parametrize(("name", "now", "due", "start", "end", "following"), CASES)
def test_a_run_is_about_the_period_that_closed(
    name: str, now: str, due: str, start: str, end: str, following: str
) -> None:
    schedule = SCHEDULES[name]
    assert schedule.due(ms(now)) == ms(due)
    assert schedule.period(ms(now)) == (ms(start), ms(end))
    assert schedule.following(ms(now)) == ms(following)


# name, until where it was done, now, what is to be done
MISSED = [
    ("hourly", "2025-03-10T13:00", "2025-03-10T14:04", None),
    ("hourly", "2025-03-10T13:00", "2025-03-10T14:05", ("2025-03-10T13:00", "2025-03-10T14:00")),
    ("hourly", "2025-03-10T09:00", "2025-03-10T14:05", ("2025-03-10T09:00", "2025-03-10T14:00")),
    ("hourly", "2024-12-30T23:00", "2025-01-01T01:10", ("2024-12-30T23:00", "2025-01-01T01:00")),
    # Three days are caught up hour by hour, and no more.
    ("hourly", "2025-01-01", "2025-02-01T00:05", ("2025-01-29", "2025-02-01")),
    ("daily", "2024-02-28", "2024-03-02T00:15", ("2024-02-28", "2024-03-02")),
    ("weekly", "2020-12-21", "2021-01-10T00:25", ("2020-12-21", "2021-01-04")),
    ("weekly", "2020-12-28", "2021-01-10T00:24", None),
    ("monthly", "2024-11-01", "2025-02-01T00:35", ("2024-11-01", "2025-02-01")),
    ("monthly", "2020-01-01", "2025-02-01T00:35", ("2024-02-01", "2025-02-01")),
    ("yearly", "2024-01-01", "2026-06-01", ("2024-01-01", "2026-01-01")),
    # What was left off in the middle of a period, or lies ahead (a clock put back), is no reason to do less or more.
    ("daily", "2025-01-01T12:00", "2025-01-03T00:15", ("2025-01-01", "2025-01-03")),
    ("daily", "2025-01-09", "2025-01-03T00:15", None),
    ("retention", "2024-01-01", "2025-01-03T01:15", ("2025-01-02", "2025-01-03")),
]


@pytest.mark.parametrize(("name", "until", "now", "expected"), MISSED)
def test_missed_periods_are_one_range(name: str, until: str, now: str, expected: tuple[str, str] | None) -> None:
    missed = SCHEDULES[name].missed(ms(until), ms(now))
    assert missed == (expected and tuple(map(ms, expected)))
