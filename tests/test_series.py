"""Questions about samples: any zone, interval, group and label filter, as plain Python answers them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from service.clock import now
from tests.oracle_calendar import DAY, HOUR, MINUTE, instant
from tests.oracle_samples import Taken, interval_of, rows
from tests.samples import send
from tests.service import Json, Service, new_site

METRIC = "reading_seconds"
ALL = ["avg", "min", "max", "count", "sum", "last"]

# Year ends, leap days, week 53, and the days on which clocks are set in Berlin, New York and Lord Howe.
_DAYS = (
    *("2023-12-31", "2024-01-01", "2024-02-29", "2024-03-10", "2024-03-31", "2024-04-06", "2024-10-05", "2024-10-27"),
    *("2024-11-03", "2024-12-30", "2024-12-31", "2025-01-01", "2025-01-31", "2025-02-01"),
)


def _samples() -> list[Taken]:
    """Around midnights of several zones, at borders to the millisecond; no two at one instant."""
    chance = random.Random(6)
    days = [instant(f"{day}T00:00:00+00:00") for day in _DAYS]
    instants = {day + step for day in days for step in (-1, 0, 1, -345 * MINUTE, 1110 * MINUTE, DAY - 1)}
    instants |= {day + chance.randrange(DAY) for day in days for _ in range(20)}
    return [
        Taken(
            at,
            chance.randrange(-400, 4_000) / 4,
            {"user": str(chance.randrange(3)), "device": chance.choice(["watch", "phone", ""])},
        )
        for at in sorted(instants)
    ]


SAMPLES = _samples()


@pytest.fixture(scope="module")
async def site(service: Service) -> str:
    site = new_site()
    await send(service, site, METRIC, SAMPLES)
    await send(service, site, "another", SAMPLES[:9])
    return site


async def ask(service: Service, site: str, asked: Json) -> Json:
    """By POST, then by GET: both answers, all rows on one page, are the same."""
    given = {"site": site, "metric": METRIC, "page_size": 1000, **asked}
    posted = await service.http.post("/api/samples/query", json=given)
    assert posted.status_code == 200, posted.text
    labels = {"labels": json.dumps(given["labels"])} if "labels" in given else {}
    answer = await service.ask("/api/samples/query", **{**given, **labels})
    assert answer["results"] == posted.json()["results"]
    return answer


ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month", "year"])
async def test_buckets_are_those_of_the_zones_calendar(service: Service, site: str, interval: str, zone: str) -> None:
    for more in ({}, {"group_by": ["user"]}, {"labels": {"device": "watch"}, "group_by": ["device", "user"]}):
        asked: Json = {"interval": interval, "timezone": zone, "aggregates": ALL, **more}
        if interval == "hour":
            asked["start"] = "2024-10-01"
        answer = await ask(service, site, asked)
        assert answer["results"] == rows(SAMPLES, asked, interval)
        assert answer["meta"]["table"] == f"samples_by_{interval}"
        assert answer["meta"]["interval"] == interval


RANGES: list[Json] = [
    {},
    {"start": "2024-12-31"},
    {"end": "2024-03-10"},
    {"start": "2024-12-30", "end": "2025-01-02"},
    {"start": "2024-12-31T00:00:00.001Z", "end": "2025-01-01T00:00:00.001Z"},
    {"start": "2024-03-31T00:59:59.999Z", "end": "2024-04-06T13:07:03.250Z"},
    {"year": 2024, "timezone": "Asia/Kathmandu"},
    {"start": "2025-01-31", "end": "2025-01-31", "timezone": "Asia/Kolkata"},
    {"start": "2024-10-26T22:00:00Z", "end": "2024-10-27T23:00:00Z", "timezone": "Europe/Berlin"},
    {"start": "2030-01-01"},
]


@pytest.mark.parametrize("asked", RANGES)
@pytest.mark.parametrize("more", [{}, {"labels": {"user": ["0", "2"]}, "group_by": ["user"]}])
async def test_auto_is_chosen_by_the_width_of_the_range(service: Service, site: str, asked: Json, more: Json) -> None:
    given = {**asked, **more}
    answer = await ask(service, site, given)
    interval = interval_of(SAMPLES, given)
    assert answer["meta"]["interval"] == interval
    assert answer["results"] == rows(SAMPLES, given, interval)


@pytest.mark.parametrize("interval", ["raw", "minute", "hour", "day", "week", "month"])
async def test_ranges_are_exact_to_the_millisecond(service: Service, site: str, interval: str) -> None:
    for start, end in [
        ("2024-12-30T18:14:59.999Z", "2025-01-01T00:00:00.000Z"),
        ("2024-12-31T00:00:00.000Z", "2025-01-01T00:00:00.001Z"),
        ("2024-12-30T23:59:59.999Z", "2024-12-31T00:00:00.001Z"),
    ]:
        asked = {"start": start, "end": end, "interval": interval, "aggregates": ALL, "timezone": "Asia/Kathmandu"}
        assert (await ask(service, site, asked))["results"] == rows(SAMPLES, asked, interval), (start, end)


# fmt: off
WIDTHS = [
    ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z",     "raw",   "samples"),
    ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z",     "raw",   "samples"),
    ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00.001Z", "hour",  "samples_by_hour"),
    ("2025-01-01T00:00:00Z", "2025-01-05T00:00:00Z",     "hour",  "samples_by_hour"),
    ("2025-01-01T00:00:00Z", "2025-01-08T00:00:00Z",     "hour",  "samples_by_hour"),
    ("2025-01-01T00:00:00Z", "2025-01-20T00:00:00Z",     "day",   "samples_by_day"),
    ("2025-01-01T00:00:00Z", "2025-01-31T00:00:00Z",     "day",   "samples_by_day"),
    ("2025-01-01T00:00:00Z", "2025-03-02T00:00:00Z",     "week",  "samples_by_week"),
    ("2025-01-01T00:00:00Z", "2025-04-01T00:00:00Z",     "week",  "samples_by_week"),
    ("2025-01-01T00:00:00Z", "2025-04-01T00:00:00.001Z", "month", "samples_by_month"),
    ("2025-01-01",           "2025-01-04",               "hour",  "samples_by_hour"),
    ("2025-01-01",           "2026-01-01",               "month", "samples_by_month"),
]
# fmt: on


@pytest.mark.parametrize(("start", "end", "interval", "table"), WIDTHS)
async def test_optimal_and_auto_name_the_same_table(
    service: Service, site: str, start: str, end: str, interval: str, table: str
) -> None:
    foretold = await service.ask("/api/rollups/optimal", dataset="samples", start=start, end=end)
    assert (foretold["dataset"], foretold["grain"], foretold["table"]) == ("samples", interval, table)
    assert sum(one["estimated_rows"] for one in foretold["segments"]) == foretold["estimated_rows"]
    meta = (await service.ask("/api/samples/query", site=site, metric=METRIC, start=start, end=end))["meta"]
    assert (meta["interval"], meta["table"]) == (interval, table)


# fmt: off
CLOCKS_SET = [
    # Berlin sets its clocks back on the 26th of October, forward on the 30th of March.
    ("2025-10-26",                "2025-10-26",                "raw"),
    ("2025-10-26T00:00:00+02:00", "2025-10-27T00:01:00+01:00", "hour"),
    ("2025-10-20",                "2025-10-26",                "hour"),
    ("2025-10-01",                "2025-10-30",                "day"),
    ("2025-08-01",                "2025-10-29",                "week"),
    ("2025-03-30",                "2025-03-30",                "raw"),
    # 24 hours up to now are a day, too, though clocks show 25.
    ("2025-03-29T12:00:00+01:00", "2025-03-30T13:00:00+02:00", "raw"),
    ("2025-03-29T12:00:00+01:00", "2025-03-30T13:01:00+02:00", "hour"),
]
# fmt: on


@pytest.mark.parametrize(("start", "end", "interval"), CLOCKS_SET)
async def test_a_day_is_one_day_also_where_it_has_25_hours(
    service: Service, site: str, start: str, end: str, interval: str
) -> None:
    asked = {"start": start, "end": end, "timezone": "Europe/Berlin"}
    foretold = await service.ask("/api/rollups/optimal", dataset="samples", **asked)
    meta = (await service.ask("/api/samples/query", site=site, metric=METRIC, **asked))["meta"]
    assert (foretold["grain"], meta["interval"]) == (interval, interval)


async def test_optimal_of_an_open_range_ends_where_the_samples_do(service: Service, site: str) -> None:
    asked = {"dataset": "samples", "site": site, "start": "2025-01-31"}
    found = await service.ask("/api/rollups/optimal", metric=METRIC, **asked)
    assert (found["table"], "counting" in found) == ("samples_by_hour", False)
    for wrong, field in [({}, "metric"), ({"metric": METRIC, "user_id": "a"}, "user_id")]:
        refused = await service.http.get("/api/rollups/optimal", params={**asked, **wrong})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    views = await service.http.get("/api/rollups/optimal", params={"metric": METRIC})
    assert (views.status_code, views.json()["errors"][0]["field"]) == (422, "metric")


async def test_explain_says_what_was_read_and_table_what_the_rows_are_of(service: Service, site: str) -> None:
    asked: Json = {"start": "2024-12-30", "end": "2025-02-02", "interval": "month", "explain": True}
    meta = (await ask(service, site, asked))["meta"]
    assert meta["table"] == "samples_by_month"
    tables = {(one["table"], one["dimension_set"]) for one in meta["plan"]["segments"]}
    assert {("samples_by_month", "metric"), ("samples_by_day", "metric")} <= tables
    assert meta["plan"]["read_rows"] > 0
    by_user = (await ask(service, site, {**asked, "group_by": ["user"]}))["meta"]["plan"]
    assert {one["dimension_set"] for one in by_user["segments"]} == {"series"}


async def test_pages_of_buckets_and_of_samples_hold_each_row_once(service: Service, site: str) -> None:
    for more in ({"interval": "day", "group_by": "user,device"}, {"interval": "raw", "labels": "user=1"}):
        answer = await service.ask("/api/samples/query", site=site, metric=METRIC, page_size=7, **more)
        first, found = answer, list(answer["results"])
        while answer["next"]:
            answer = (await service.http.get(answer["next"])).json()
            found += answer["results"]
        whole = await service.ask("/api/samples/query", site=site, metric=METRIC, page_size=1000, **more)
        assert found == whole["results"]
        assert first["count"] == len(found) > 14
        past = await service.http.get(
            "/api/samples/query", params={"site": site, "metric": METRIC, "page": 9999, **more}
        )
        assert past.status_code == 404


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
async def test_eleven_years_of_hours_are_one_question(service: Service, zone: str) -> None:
    """96,000 of them; in a zone half an hour off each edge is told to ClickHouse, whose server takes 128 kB a value."""
    site, first = new_site(), instant("2014-05-01T12:20:00+00:00")
    taken = [Taken(first + year * 365 * DAY, 1.0, {}) for year in range(11)]
    await send(service, site, METRIC, taken)
    asked = {"interval": "hour", "start": "2014-01-01", "end": "2024-12-31", "timezone": zone, "aggregates": ["count"]}
    assert (await ask(service, site, asked))["results"] == rows(taken, asked, "hour")


async def test_late_samples_arrive_in_every_grain(service: Service) -> None:
    site, day = new_site(), instant("2024-05-15T00:00:00+00:00")
    taken = [Taken(day + HOUR * hour, hour / 4, {"user": "1"}) for hour in range(48)]
    await send(service, site, METRIC, taken)
    late = [Taken(day + 7 * MINUTE, 1000.25, {"user": "1"}), Taken(day - 40 * DAY, -7.5, {"user": "2"})]
    await send(service, site, METRIC, late)
    for interval in ("raw", "minute", "hour", "day", "week", "month", "year"):
        asked: Json = {"interval": interval, "aggregates": ALL, "group_by": ["user"]}
        if interval == "minute":
            asked["start"] = "2024-05-15"
        assert (await ask(service, site, asked))["results"] == rows([*taken, *late], asked, interval), interval


async def test_a_bucket_that_is_not_over_is_partial(service: Service) -> None:
    at = int(now().timestamp() * 1000)
    site = new_site()
    await send(service, site, METRIC, [Taken(at, 1.0, {}), Taken(at - 800 * DAY, 2.0, {})])
    found: list[dict[str, Any]] = (await ask(service, site, {"interval": "year"}))["results"]
    assert [row.get("partial") for row in found] == [None, True]
