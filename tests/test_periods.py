"""Calendar periods: interval, zone and range → names, starts and lengths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.periods import Interval, TooManyPeriods, periods

# fmt: off
TABLE = [
    # interval        zone                  first instant       last instant        periods
    (Interval.DAY,    "UTC",                "2025-01-01T00:00", "2025-01-02T00:00", ["2025-01-01"]),
    (Interval.DAY,    "UTC",                "2024-02-28T23:59", "2024-03-01T00:01", ["2024-02-28", "2024-02-29", "2024-03-01"]),
    (Interval.WEEK,   "UTC",                "2020-12-31T00:00", "2021-01-05T00:00", ["2020-W53", "2021-W01"]),
    (Interval.WEEK,   "UTC",                "2026-12-31T00:00", "2027-01-01T00:00", ["2026-W53"]),
    (Interval.MONTH,  "UTC",                "2024-01-31T00:00", "2024-03-01T00:00", ["2024-01", "2024-02"]),
    (Interval.YEAR,   "UTC",                "2024-12-31T23:59", "2025-01-01T00:01", ["2024", "2025"]),
    (Interval.YEAR,   "Asia/Kathmandu",     "2024-12-31T18:14", "2024-12-31T18:16", ["2024", "2025"]),
    (Interval.DAY,    "Asia/Kathmandu",     "2025-01-01T18:14", "2025-01-01T18:16", ["2025-01-01", "2025-01-02"]),
    # the day the clocks skip altogether is not there
    (Interval.DAY,    "Pacific/Apia",       "2011-12-30T09:00", "2011-12-30T11:00", ["2011-12-29", "2011-12-31"]),
    # midnight does not exist in Sao Paulo on 4 November 2018
    (Interval.DAY,    "America/Sao_Paulo",  "2018-11-04T02:59", "2018-11-04T03:01", ["2018-11-03", "2018-11-04"]),
    # 01:00 comes twice in New York, 02:00 never
    (Interval.HOUR,   "America/New_York",   "2025-11-02T04:00", "2025-11-02T08:00",
     ["2025-11-02 00:00", "2025-11-02 01:00", "2025-11-02 01:00", "2025-11-02 02:00"]),
    (Interval.HOUR,   "America/New_York",   "2025-03-09T06:00", "2025-03-09T08:00", ["2025-03-09 01:00", "2025-03-09 03:00"]),
    # Lord Howe puts the clock back by half an hour: one hour of 90 minutes; and forward: one of 30
    (Interval.HOUR,   "Australia/Lord_Howe", "2025-04-05T14:00", "2025-04-05T16:30",
     ["2025-04-06 01:00", "2025-04-06 02:00"]),
    # Caracas: 02:30 became 03:00
    (Interval.HOUR,   "America/Caracas",    "2016-05-01T06:30", "2016-05-01T07:30", ["2016-05-01 02:00", "2016-05-01 03:00"]),
    (Interval.HOUR,   "Australia/Lord_Howe", "2025-10-04T14:30", "2025-10-04T16:00", ["2025-10-05 01:00", "2025-10-05 02:00"]),
]
# fmt: on


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("interval", "zone", "start", "end", "names"), TABLE)
def test_periods_overlapping_a_range(interval: Interval, zone: str, start: str, end: str, names: list[str]) -> None:
    assert [period.name for period in periods(interval, ZoneInfo(zone), at(start), at(end))] == names


def test_local_days_may_have_23_and_25_hours() -> None:
    spring, autumn = (
        periods(Interval.DAY, ZoneInfo("Europe/Berlin"), at(noon), at(noon) + timedelta(minutes=1))
        for noon in ("2025-03-30T12:00", "2025-10-26T12:00")
    )
    assert [day.end - day.start for day in (*spring, *autumn)] == [timedelta(hours=23), timedelta(hours=25)]


def test_labels_are_english_and_names_sort() -> None:
    found = periods(Interval.MONTH, ZoneInfo("UTC"), at("2025-01-01"), at("2025-03-01"))
    assert [(month.name, month.label) for month in found] == [
        ("2025-01", "January 2025"),
        ("2025-02", "February 2025"),
    ]


def test_more_periods_than_anyone_reads_are_refused_at_once() -> None:
    with pytest.raises(TooManyPeriods):
        periods(Interval.HOUR, ZoneInfo("UTC"), at("1980-01-01"), at("2100-01-01"))
    with pytest.raises(TooManyPeriods):
        periods(Interval.HOUR, ZoneInfo("UTC"), at("2000-01-01"), at("2015-01-01"))


@given(
    interval=st.sampled_from(Interval),
    zone=st.sampled_from(["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 (hypothesis adds the zone)
    length=st.timedeltas(timedelta(milliseconds=1), timedelta(days=3)),
)
def test_periods_cover_the_range_without_gap_or_overlap(
    interval: Interval, zone: str, start: datetime, length: timedelta
) -> None:
    found = periods(interval, ZoneInfo(zone), start, start + length)
    assert found[0].start <= start < found[0].end
    assert found[-1].start < start + length <= found[-1].end
    assert all(one.end == following.start for one, following in pairwise(found))
