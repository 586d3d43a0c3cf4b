"""The planner's specification: question → segments, from coarse to fine."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from zoneinfo import ZoneInfo

import pytest

from clickhouse.conditions import Compare, Condition, Either, Every, Field, Not, Operator, Within
from clickhouse.existing import Existing
from clickhouse.instants import epoch_ms, from_epoch_ms
from clickhouse.periods import Interval, periods
from clickhouse.plan import Counting, Expired, Match, Range, Segment, Source, match, nesting, plan
from clickhouse.question import ANY_ROW, Distinct, Group, Question
from clickhouse.rollups import EVENTS, GRAINS

# fmt: off
RANGES = [
    # start                 end                        segments of a total
    (None,                  None,                      ["year"]),
    ("2022-01-01",          "2025-01-01",              ["year 2022-01-01 2025-01-01"]),
    ("2025-01-01",          None,                      ["year 2025-01-01 ..."]),
    (None,                  "2025-04-01",              ["year ... 2025-01-01", "month 2025-01-01 2025-04-01"]),
    ("2025-02-01",          "2025-03-01",              ["month 2025-02-01 2025-03-01"]),
    ("2024-12-30",          "2025-01-06",              ["week 2024-12-30 2025-01-06"]),
    ("2024-12-01",          "2025-01-06",              ["month 2024-12-01 2025-01-01", "day 2025-01-01 2025-01-06"]),
    ("2025-01-04",          "2025-01-21",              ["week 2025-01-06 2025-01-20",
                                                        "day 2025-01-04 2025-01-06 2025-01-20 2025-01-21"]),
    ("2025-01-01T05",       "2025-01-02",              ["six_hours 2025-01-01T06 2025-01-02",
                                                        "hour 2025-01-01T05 2025-01-01T06"]),
    ("2025-01-01T05:30",    "2025-01-01T07:15",        ["hour 2025-01-01T06 2025-01-01T07",
                                                        "quarter_hour 2025-01-01T05:30 2025-01-01T06"
                                                        " 2025-01-01T07 2025-01-01T07:15"]),
    ("2025-01-01T05:31",    "2025-01-01T05:44:59.999", ["raw 2025-01-01T05:31 2025-01-01T05:44:59.999"]),
    ("2022-03-20T10:07:03.250", "2024-09-10T00:00:00.001", [
        "year 2023-01-01 2024-01-01",
        "month 2022-04-01 2023-01-01 2024-01-01 2024-09-01",
        "week 2022-03-21 2022-03-28 2024-09-02 2024-09-09",
        "day 2022-03-28 2022-04-01 2024-09-01 2024-09-02 2024-09-09 2024-09-10",
        "six_hours 2022-03-20T12 2022-03-21",
        "hour 2022-03-20T11 2022-03-20T12",
        "quarter_hour 2022-03-20T10:15 2022-03-20T11",
        "raw 2022-03-20T10:07:03.250 2022-03-20T10:15 2024-09-10 2024-09-10T00:00:00.001",
    ]),
]

COUNTRY, AUTHOR = Compare(Field.COUNTRY, Operator.EQ, ("ET",)), Compare(Field.AUTHOR, Operator.EQ, ("u1",))
BLOG, TITLE = Compare(Field.BLOG, Operator.EQ, ("b1",)), Compare(Field.BLOG_TITLE, Operator.CONTAINS, ("x",))
USERNAME, VIEWER = Compare(Field.AUTHOR_USERNAME, Operator.EQ, ("ada",)), Compare(Field.VIEWER, Operator.EQ, (7,))
EXACT = Distinct.EXACT

DIMENSIONS = [
    # group          condition                  distinct          from keys or states, and by grain the dimension sets
    (None,           ANY_ROW,                   Distinct.APPROX,  "states", "year/total"),
    (Group.COUNTRY,  ANY_ROW,                   Distinct.APPROX,  "states", "year/country"),
    (None,           COUNTRY,                   Distinct.APPROX,  "states", "year/country"),
    (None,           Not(COUNTRY),              Distinct.APPROX,  "states", "year/country"),
    (Group.AUTHOR,   ANY_ROW,                   Distinct.APPROX,  "states", "year/author"),
    (None,           AUTHOR,                    Distinct.APPROX,  "states", "year/author"),
    (None,           USERNAME,                  Distinct.APPROX,  "states", "year/author"),
    (Group.AUTHOR,   COUNTRY,                   Distinct.APPROX,  "keys",   "month/country_author_blog"),
    (Group.COUNTRY,  AUTHOR,                    Distinct.APPROX,  "keys",   "month/country_author_blog"),
    (Group.BLOG,     ANY_ROW,                   Distinct.APPROX,  "keys",   "year/author_blog"),
    (None,           BLOG,                      Distinct.APPROX,  "keys",   "year/author_blog"),
    (Group.AUTHOR,   TITLE,                     Distinct.APPROX,  "keys",   "year/author_blog"),
    (Group.BLOG,     AUTHOR,                    EXACT,            "keys",   "year/author_blog"),
    (None,           ANY_ROW,                   EXACT,            "keys",   "year/author_blog"),
    (Group.AUTHOR,   ANY_ROW,                   EXACT,            "keys",   "year/author_blog"),
    (Group.COUNTRY,  ANY_ROW,                   EXACT,            "keys",   "month/country_author_blog"),
    (Group.BLOG,     COUNTRY,                   Distinct.APPROX,  "keys",   "month/country_author_blog"),
    (Group.COUNTRY,  Either((BLOG, AUTHOR)),    Distinct.APPROX,  "keys",   "month/country_author_blog"),
    (None,           VIEWER,                    Distinct.APPROX,  "keys",   "raw/None"),
    (Group.BLOG,     Every((COUNTRY, VIEWER)),  Distinct.APPROX,  "keys",   "raw/None"),
]

PERIODS = [
    # interval, zone,                   start              end                  group   segments
    (Interval.YEAR,  "UTC",             "2023-01-01",      "2025-01-01",        None,   ["year 2023-01-01 2025-01-01"]),
    (Interval.MONTH, "UTC",             "2023-01-01",      "2025-01-01",        None, ["month 2023-01-01 2025-01-01"]),
    (Interval.WEEK,  "UTC",             "2024-12-30",      "2025-01-13",        None,   ["week 2024-12-30 2025-01-13"]),
    (Interval.DAY,   "UTC",             "2022-01-01",      "2025-01-01",        None,   ["day 2022-01-01 2025-01-01"]),
    (Interval.HOUR,  "UTC",             "2025-01-01",      "2025-01-03",        None,   ["hour 2025-01-01 2025-01-03"]),
    (Interval.HOUR,  "UTC",             "2025-01-01",      "2025-01-03", Group.AUTHOR,  ["raw 2025-01-01 2025-01-03"]),
    (Interval.WEEK,  "UTC",             "2025-01-01",      "2025-01-13",        None,
        ["week 2025-01-06 2025-01-13", "day 2025-01-01 2025-01-06"]),
    (Interval.DAY,   "America/New_York", "2025-01-01T05",  "2025-01-03T05",     None,
        ["six_hours 2025-01-01T06 2025-01-02 2025-01-02T06 2025-01-03",
         "hour 2025-01-01T05 2025-01-01T06 2025-01-02 2025-01-02T06 2025-01-03 2025-01-03T05"]),
    (Interval.DAY,   "Asia/Kathmandu",  "2024-12-31T18:15", "2025-01-02T18:15", None,   # +05:45
        ["six_hours 2025-01-01 2025-01-01T18 2025-01-02 2025-01-02T18",
         "hour 2024-12-31T19 2025-01-01 2025-01-01T19 2025-01-02",
         "quarter_hour 2024-12-31T18:15 2024-12-31T19 2025-01-01T18 2025-01-01T19 2025-01-02T18 2025-01-02T18:15"]),
    (Interval.DAY,   "Australia/Lord_Howe", "2024-04-05T13", "2024-04-07T13:30", None,  # 24.5 hours
        ["six_hours 2024-04-05T18 2024-04-06T12 2024-04-06T18 2024-04-07T12",
         "hour 2024-04-05T13 2024-04-05T18 2024-04-06T12 2024-04-06T18 2024-04-07T12 2024-04-07T13",
         "quarter_hour 2024-04-07T13 2024-04-07T13:30"]),
    (Interval.MONTH, "Asia/Kolkata",    "2024-12-31T18:30", "2025-02-28T18:30", Group.COUNTRY,
        ["week 2025-01-06 2025-01-27 2025-02-03 2025-02-24",
         "day 2025-01-01 2025-01-06 2025-01-27 2025-01-31 2025-02-01 2025-02-03 2025-02-24 2025-02-28",
         "raw 2024-12-31T18:30 2025-01-01 2025-01-31 2025-02-01 2025-02-28 2025-02-28T18:30"]),
    (Interval.YEAR,  "America/New_York", "2024-01-01T05",  "2025-01-01T05",     None,
        ["month 2024-02-01 2025-01-01", "week 2024-01-08 2024-01-29",
         "day 2024-01-02 2024-01-08 2024-01-29 2024-02-01",
         "six_hours 2024-01-01T06 2024-01-02",
         "hour 2024-01-01T05 2024-01-01T06 2025-01-01 2025-01-01T05"]),
]

TIMES = [
    # a condition on time cuts no bucket that it is asked of
    (Within(at := datetime(2025, 1, 1, tzinfo=UTC), None),  ["year"]),
    (Not(Within(None, at)),                                 ["year"]),
    (Within(datetime(2025, 3, 1, tzinfo=UTC), None),        ["year ... 2025-01-01 2026-01-01 ...",
                                                             "month 2025-01-01 2026-01-01"]),
    (Either((COUNTRY, Within(datetime(2025, 1, 1, 0, 0, 0, 1000, tzinfo=UTC), None))), [
        "year ... 2025-01-01 2026-01-01 ...",
        "month 2025-02-01 2026-01-01",
        "week 2025-01-06 2025-01-27",
        "day 2025-01-02 2025-01-06 2025-01-27 2025-02-01",
        "raw 2025-01-01 2025-01-02",
    ]),
]

NESTING = [
    (Interval.HOUR,  "UTC",              ["quarter_hour", "hour"]),
    (Interval.DAY,   "Etc/UTC",          ["quarter_hour", "hour", "six_hours", "day"]),
    (Interval.WEEK,  "UTC",              ["quarter_hour", "hour", "six_hours", "day", "week"]),
    (Interval.MONTH, "UTC",              ["quarter_hour", "hour", "six_hours", "day", "month"]),
    (Interval.YEAR,  "UTC",              ["quarter_hour", "hour", "six_hours", "day", "month", "year"]),
    (Interval.DAY,   "Asia/Kolkata",     ["quarter_hour"]),
    (Interval.HOUR,  "America/St_Johns", []),
]
# fmt: on


def at_(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(segments: tuple[Segment, ...]) -> list[str]:
    """`grain start end start end …`, and the grain alone where both sides are open."""
    return [
        " ".join([segment.source.grain_name, *(_shown(end) for one in segment.ranges for end in one if one != OPEN)])
        for segment in segments
    ]


OPEN = Range(-inf, inf)


def _shown(instant: float) -> str:
    if instant in OPEN:
        return "..."
    text = from_epoch_ms(int(instant)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    for zeros in (".000", ":00", ":00", "T00"):
        if not text.endswith(zeros):
            break
        text = text.removesuffix(zeros)
    return text


@pytest.mark.parametrize(("start", "end", "segments"), RANGES)
def test_range_is_cut_coarsest_first(start: str | None, end: str | None, segments: list[str]) -> None:
    assert shown(plan(Question("s", at_(start), at_(end))).segments) == segments


@pytest.mark.parametrize(("group", "condition", "distinct", "counting", "coarsest"), DIMENSIONS)
def test_question_takes_the_smallest_dimension_set(
    group: Group | None, condition: Condition, distinct: Distinct, counting: str, coarsest: str
) -> None:
    found = plan(Question("s", group=group, condition=condition, distinct=distinct))
    source = found.segments[0].source
    name = source.dimension_set.name if source.dimension_set else None
    assert (found.counting, f"{source.grain_name}/{name}") == (Counting(counting), coarsest)


@pytest.mark.parametrize(("interval", "zone", "start", "end", "group", "segments"), PERIODS)
def test_no_bucket_reaches_from_one_period_into_another(
    interval: Interval, zone: str, start: str, end: str, group: Group | None, segments: list[str]
) -> None:
    first, last = at_(start), at_(end)
    assert first is not None
    assert last is not None
    edges = tuple(max(period.start, first) for period in periods(interval, ZoneInfo(zone), first, last))
    assert shown(plan(Question("s", first, last, group, edges)).segments) == segments


@pytest.mark.parametrize(("condition", "segments"), TIMES)
def test_condition_on_time_is_a_border(condition: Condition, segments: list[str]) -> None:
    assert shown(plan(Question("s", group=Group.COUNTRY, condition=condition)).segments) == segments


@pytest.mark.parametrize(("interval", "zone", "grains"), NESTING)
def test_grains_that_nest_in_every_period(interval: Interval, zone: str, grains: list[str]) -> None:
    assert [grain.name for grain in nesting(interval, ZoneInfo(zone))] == grains


def test_expired_rows_are_taken_from_where_they_are_kept() -> None:
    new_year, noon = "2025-01-01", "2025-01-01T12:00"
    existing = Existing({"view_events": epoch_ms(datetime(2025, 6, 1, tzinfo=UTC))})
    assert shown(plan(Question("s", at_(new_year), at_(noon)), existing).segments) == [
        f"six_hours {new_year} 2025-01-01T12"
    ]
    with pytest.raises(Expired) as refused:
        plan(Question("s", at_(new_year), at_(noon), Group.COUNTRY), existing)
    assert refused.value.gap == Range(epoch_ms(at_(new_year) or UNKNOWN), epoch_ms(at_(noon) or UNKNOWN))


UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)

RAGGED = ("2022-03-20T10:07:03.250", "2024-09-10T00:00:00.001")

# fmt: off
SIZES = [
    # events a day, countries, distinct blogs a day    grains that are worth a segment
    (10,            3,         5,                      ["raw"]),
    (40_000,        12,        1_300,                  ["month", "day", "raw"]),
    (4_000_000,     200,       50_000,                 ["year", "month", "week", "day", "raw"]),
]
# fmt: on


@pytest.mark.parametrize(("events", "countries", "blogs", "grains"), SIZES)
def test_segment_has_to_be_worth_itself(events: int, countries: int, blogs: int, grains: list[str]) -> None:
    tables = [grain.table for grain in GRAINS]
    existing = Existing(
        rows={("view_events", ""): events, **{(table, "country"): countries for table in tables}},
        blogs={(table, "country"): blogs for table in tables},
    )
    found = plan(Question("s", at_(RAGGED[0]), at_(RAGGED[1]), Group.COUNTRY), existing)
    assert [segment.source.grain_name for segment in found.segments] == grains


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(10, 20, Match.FULL), (5, 20, Match.PARTIAL), (0, 10, Match.NONE)]
)
def test_match_says_how_much_a_source_still_has(start: int, end: int, expected: Match) -> None:
    assert match(Source(EVENTS), Range(start, end), since=10) is expected


@pytest.mark.parametrize("grain", GRAINS, ids=lambda grain: grain.name)
def test_buckets_begin_where_the_last_one_ended(grain: object) -> None:
    assert isinstance(grain, type(GRAINS[0]))
    for text in ("1999-12-31T23:59:59", "2000-02-29T12:07:30", "2024-12-30", "2025-01-01", "2025-03-31T23:45"):
        instant = epoch_ms(at_(text) or UNKNOWN)
        start, end = grain.floor(instant), grain.ceiling(instant + 1)
        assert start <= instant < end
        assert grain.shortest <= end - start <= grain.longest
        assert grain.floor(end - 1) == start == grain.ceiling(start)
