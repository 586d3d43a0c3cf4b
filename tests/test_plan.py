"""The planner's specification: question → table."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from clickhouse.periods import Interval, periods
from clickhouse.plan import plan, plan_bounds
from clickhouse.question import Distinct, Filters, Group, Question

COUNTRY, AUTHOR, BLOG = Filters(countries=("ET",)), Filters(author_id="u1"), Filters(blog_id="b1")
NOT_COUNTRY, USERNAME = Filters(excluded_countries=("ET",)), Filters(author_username="ada")
NONE, EXACT = Filters(), Distinct.EXACT

# fmt: off
RANGES = [
    # start                 end                    coarsest grain whose buckets end there
    (None,                  None,                  "year"),
    ("2025-01-01",          "2026-01-01",          "year"),
    ("2025-01-01",          None,                  "year"),
    (None,                  "2026-01-01",          "year"),
    ("2025-02-01",          "2025-03-01",          "month"),
    ("2025-01-01",          "2025-03-01",          "month"),
    ("2024-12-30",          "2025-01-06",          "week"),    # Mondays
    ("2025-01-06",          "2025-01-07",          "day"),
    ("2025-09-01",          "2025-12-01",          "month"),   # Mondays too, but months are coarser
    ("2025-01-01T05",       "2025-01-02",          "hour"),
    ("2025-01-01T05:30",    "2025-01-02",          "raw"),
    ("2025-01-01",          "2025-01-02T00:00:00.001", "raw"),
]

DIMENSIONS = [
    # group          filters       distinct          dimension set
    (None,           NONE,         Distinct.APPROX,  "total"),
    (Group.COUNTRY,  NONE,         Distinct.APPROX,  "country"),
    (None,           COUNTRY,      Distinct.APPROX,  "country"),
    (None,           NOT_COUNTRY,  Distinct.APPROX,  "country"),
    (Group.AUTHOR,   NONE,         Distinct.APPROX,  "author"),
    (None,           AUTHOR,       Distinct.APPROX,  "author"),
    (None,           USERNAME,     Distinct.APPROX,  "author"),
    (Group.AUTHOR,   COUNTRY,      Distinct.APPROX,  "country_author"),
    (Group.COUNTRY,  AUTHOR,       Distinct.APPROX,  "country_author"),
    (Group.BLOG,     NONE,         Distinct.APPROX,  "author_blog"),
    (None,           BLOG,         Distinct.APPROX,  "author_blog"),
    (Group.AUTHOR,   BLOG,         Distinct.APPROX,  "author_blog"),
    (Group.BLOG,     AUTHOR,       EXACT,            "author_blog"),
    (None,           NONE,         EXACT,            "author_blog"),  # keys are counted, states are not exact
    (Group.AUTHOR,   NONE,         EXACT,            "author_blog"),
    (Group.COUNTRY,  NONE,         EXACT,            None),           # no rollup has country and blog
    (Group.BLOG,     COUNTRY,      Distinct.APPROX,  None),
    (Group.COUNTRY,  BLOG,         Distinct.APPROX,  None),
]

PERIODS = [
    # interval        zone                   start          end           grain that nests in every border
    (Interval.YEAR,   "UTC",                 "2024-01-01",  "2026-01-01", "year"),
    (Interval.MONTH,  "UTC",                 "2025-01-01",  "2026-01-01", "month"),
    (Interval.WEEK,   "UTC",                 "2024-12-30",  "2025-01-13", "week"),
    (Interval.DAY,    "UTC",                 "2025-01-01",  "2025-02-01", "day"),
    (Interval.HOUR,   "UTC",                 "2025-01-01",  "2025-01-02", "hour"),
    (Interval.MONTH,  "America/New_York",    "2025-01-01T05", "2025-03-01T05", "hour"),
    (Interval.DAY,    "Asia/Kathmandu",      "2025-01-01T18:15", "2025-01-03T18:15", "raw"),
    (Interval.YEAR,   "Asia/Kolkata",        "2024-12-31T18:30", "2025-12-31T18:30", "raw"),
    (Interval.DAY,    "Africa/Abidjan",      "2025-01-01",  "2025-01-03", "day"),
]

BOUNDS = [
    # interval        zone                   start         filters   table
    (Interval.YEAR,   "UTC",                 None,         NONE,     "views_by_year"),
    (Interval.WEEK,   "UTC",                 None,         NONE,     "views_by_week"),
    (Interval.HOUR,   "UTC",                 None,         AUTHOR,   "views_by_hour"),
    (Interval.MONTH,  "UTC",                 "2025-01-15", NONE,     "views_by_day"),
    (Interval.YEAR,   "UTC",                 "2025-02-01", NONE,     "views_by_month"),
    (Interval.WEEK,   "UTC",                 "2025-02-01", NONE,     "views_by_day"),    # weeks are made from days
    (Interval.DAY,    "UTC",                 "2025-01-15T10:30", NONE, "view_events"),
    (Interval.DAY,    "Asia/Kathmandu",      None,         NONE,     "view_events"),
]
# fmt: on


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("start", "end", "grain"), RANGES)
def test_range_takes_the_coarsest_grain_that_fits_it(start: str | None, end: str | None, grain: str) -> None:
    segment = plan(Question("s", at(start), at(end)))
    assert (segment.grain.name if segment.grain else "raw") == grain


@pytest.mark.parametrize(("group", "filters", "distinct", "expected"), DIMENSIONS)
def test_question_takes_the_smallest_dimension_set(
    group: Group | None, filters: Filters, distinct: Distinct, expected: str | None
) -> None:
    segment = plan(Question("s", group=group, filters=filters, distinct=distinct))
    assert (segment.dimension_set.name if segment.dimension_set else None) == expected
    assert (segment.table == "view_events") == (expected is None)


@pytest.mark.parametrize(("interval", "zone", "start", "end", "grain"), PERIODS)
def test_periods_take_the_grain_that_nests_in_each(
    interval: Interval, zone: str, start: str, end: str, grain: str
) -> None:
    first, last = at(start), at(end)
    assert first is not None
    assert last is not None
    edges = tuple(period.start for period in periods(interval, ZoneInfo(zone), first, last))
    segment = plan(Question("s", first, last, edges=edges))
    assert (segment.grain.name if segment.grain else "raw") == grain


@pytest.mark.parametrize(("interval", "zone", "start", "filters", "table"), BOUNDS)
def test_bounds_are_looked_up_where_buckets_nest(
    interval: Interval, zone: str, start: str | None, filters: Filters, table: str
) -> None:
    assert plan_bounds(Question("s", at(start), filters=filters), interval, ZoneInfo(zone)).table == table
