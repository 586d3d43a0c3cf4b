"""Any events, any question, on both engines: the answers are those of tests/oracle.py."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, note, settings

from tests.oracle import Refused, Site, asked_range
from tests.oracle_calendar import DAY, HOUR, MINUTE, clock, first_instant, instant, rfc3339
from tests.oracle_facts import Json
from tests.service import Service, new_site
from tests.strategies import CHANGES, Asked, World, places, worlds

# Each example commits its events to every rollup, which takes most of its time: 1.5 s. Other ones with every run.
EXAMPLES = 25
QUESTIONS = 20


@given(world=worlds(asked=QUESTIONS))
@settings(max_examples=EXAMPLES, print_blob=True)
async def test_every_answer_is_the_oracles(service: Service, world: World) -> None:
    site = new_site()
    truth = await told(service, site, world)
    for question in world.questions:
        note(f"{question.method} {question.path} {question.parameters} page_size={question.page_size}")
        await check(service, site, truth, question)


async def told(service: Service, site: str, world: World) -> Site:
    """The service and the oracle hear the same in the same order; later registrations don't reach back."""
    truth = Site()
    for path, rows, put in [
        ("/api/authors", world.authors, truth.put_authors),
        ("/api/blogs", world.blogs, truth.put_blogs),
        ("", world.events, truth.post),
        ("/api/blogs", world.changed_blogs, truth.put_blogs),
    ]:
        here = [{**row, "site": site} for row in rows]
        put(rows)
        if path and here:
            await service.put(path, here)
        elif here:
            receipt = await service.post(here)
            assert receipt["accepted"] == len(truth.views)
            assert receipt["duplicates"] == len(rows) - len(truth.views)
    return truth


async def check(service: Service, site: str, truth: Site, question: Asked) -> None:
    """Every row, and the pages they stand on."""
    response = await ask(service, site, question)
    try:
        start, end = asked_range(question.parameters)
    except Refused:
        assert response.status_code == 422, response.text
        return
    expected = rows_of(truth, question)
    answer = right(response, question, expected, 1)
    assert answer["meta"]["start"] == (None if start is None else rfc3339(start))
    assert answer["meta"]["end"] == (None if end is None else rfc3339(end))
    last = max(1, -(-len(expected) // question.page_size))
    await walk(service, question, expected, answer, "next", min(last, 4))
    if last > 1:
        at_end = right(await ask(service, site, question, page=last), question, expected, last)
        await walk(service, question, expected, at_end, "previous", max(1, last - 3))
    assert (await ask(service, site, question, page=last + 1)).status_code == 404


async def walk(service: Service, question: Asked, expected: list[Json], answer: Json, link: str, until: int) -> None:
    """Follows the addresses of one direction to page `until`."""
    last = max(1, -(-len(expected) // question.page_size))
    page, step = (1, 1) if link == "next" else (last, -1)
    while page != until:
        page += step
        answer = right(await service.http.get(answer[link]), question, expected, page)


def right(response: httpx.Response, question: Asked, expected: list[Json], page: int) -> Json:
    """The answer, which is page `page` of what was expected."""
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    size = question.page_size
    assert answer["results"] == expected[(page - 1) * size : page * size]
    assert answer["count"] == len(expected)
    assert (answer["previous"] is None) == (page == 1)
    assert (answer["next"] is None) == (page * size >= len(expected))
    return answer


def rows_of(truth: Site, question: Asked) -> list[Json]:
    answers = {"blog-views": truth.blog_views, "top": truth.top, "performance": truth.performance}
    in_path = {"group_by": question.segment, "top": question.segment} if question.segment else {}
    return answers[question.endpoint](question.parameters | in_path)


async def ask(service: Service, site: str, question: Asked, **more: Any) -> httpx.Response:
    asked = {"site": site, **question.parameters, "page_size": question.page_size, **more}
    if question.method == "GET":
        if "filters" in asked:
            asked["filters"] = json.dumps(asked["filters"])
        return await service.http.get(question.path, params=asked)
    return await service.http.post(question.path, json=asked)


CALENDAR_ZONES = (
    *("UTC", "Asia/Kathmandu", "America/New_York", "America/St_Johns", "Australia/Lord_Howe"),
    *("Pacific/Apia", "Pacific/Chatham"),
)
RANGES = [("2011-12-28", "2012-01-05"), ("2024-02-27", "2024-03-12"), ("2024-12-25", "2025-02-03")]


@pytest.mark.parametrize("zone", CALENDAR_ZONES)
@pytest.mark.parametrize("compare", ["hour", "day", "week", "month", "year"])
@pytest.mark.parametrize("x_metric", ["viewed", "created"])
async def test_every_calendar_around_its_borders(
    service: Service, borders: tuple[str, Site], compare: str, zone: str, x_metric: str
) -> None:
    """Views a millisecond before, at and after each border and each change of the clocks of each zone."""
    site, truth = borders
    asked = {"compare": compare, "timezone": zone, "x_metric": x_metric}
    changes = [instant(text) for text in CHANGES.get(zone, ())]
    for start, end in [*RANGES, *((rfc3339(at - 5 * HOUR), rfc3339(at + 5 * HOUR)) for at in changes)]:
        question = Asked("performance", {**asked, "start": start, "end": end}, "GET", 1000)
        await check(service, site, truth, question)
    if compare not in {"hour", "day"}:
        await check(service, site, truth, Asked("performance", asked, "POST", 1000))


@pytest.fixture(scope="module")
async def borders(service: Service) -> tuple[str, Site]:
    around = {
        place + step
        for zone in CALENDAR_ZONES
        for place in places(zone)
        for step in (-1, 0, 1, 15 * MINUTE, HOUR, -DAY)
    }
    events: list[Json] = [
        {"blog_id": f"b{at % 7}", "viewed_at": at} for at in sorted(around) if clock(at, "UTC").year > 2004
    ]
    blogs = [{"blog_id": f"b{n}", "created_at": rfc3339(events[n * 9]["viewed_at"])} for n in range(7)]
    site = new_site()
    return site, await told(service, site, World([], blogs, events, [], []))


# Zone, compare, range, instants of one view each, and the rows (period, start, y) that a clock on the wall gives.
ON_THE_WALL: dict[str, tuple[str, str, tuple[str, str], list[str], list[tuple[str, str, int]]]] = {
    "an hour shown twice is two rows": (
        *("Europe/Berlin", "hour", ("2024-10-27T00:00Z", "2024-10-27T03:00Z")),
        ["2024-10-27T00:59:59.999Z", "2024-10-27T01:00Z", "2024-10-27T01:30Z"],
        [
            ("2024-10-27 02:00", "2024-10-27T00:00:00Z", 1),
            ("2024-10-27 02:00", "2024-10-27T01:00:00Z", 2),
            ("2024-10-27 03:00", "2024-10-27T02:00:00Z", 0),
        ],
    ),
    "an hour stretched by half an hour is one row": (
        *("Australia/Lord_Howe", "hour", ("2024-04-06T14:00Z", "2024-04-06T16:30Z")),
        ["2024-04-06T14:00Z", "2024-04-06T15:00Z", "2024-04-06T15:29:59.999Z", "2024-04-06T15:30Z"],
        [("2024-04-07 01:00", "2024-04-06T14:00:00Z", 3), ("2024-04-07 02:00", "2024-04-06T15:30:00Z", 1)],
    ),
    "an hour cut by half an hour is one row": (
        *("Australia/Lord_Howe", "hour", ("2024-10-05T15:00Z", "2024-10-05T16:30Z")),
        ["2024-10-05T15:29:59.999Z", "2024-10-05T15:30Z", "2024-10-05T15:59:59.999Z", "2024-10-05T16:00Z"],
        [
            ("2024-10-06 01:00", "2024-10-05T14:30:00Z", 1),
            ("2024-10-06 02:00", "2024-10-05T15:30:00Z", 2),
            ("2024-10-06 03:00", "2024-10-05T16:00:00Z", 1),
        ],
    ),
    "a day that never happened is no row": (
        *("Pacific/Apia", "day", ("2011-12-29", "2011-12-31")),
        ["2011-12-30T09:59:59.999Z", "2011-12-30T10:00Z"],
        [("2011-12-29", "2011-12-29T10:00:00Z", 1), ("2011-12-31", "2011-12-30T10:00:00Z", 1)],
    ),
    "a day begins where the clock skips midnight": (
        *("America/Sao_Paulo", "day", ("2018-11-03", "2018-11-04")),
        ["2018-11-04T02:59:59.999Z", "2018-11-04T03:00Z"],
        [("2018-11-03", "2018-11-03T03:00:00Z", 1), ("2018-11-04", "2018-11-04T03:00:00Z", 1)],
    ),
    "a day whose last hour comes twice has 25": (
        *("America/Sao_Paulo", "day", ("2018-02-17", "2018-02-18")),
        ["2018-02-18T02:59:59.999Z", "2018-02-18T03:00Z"],
        [("2018-02-17", "2018-02-17T02:00:00Z", 1), ("2018-02-18", "2018-02-18T03:00:00Z", 1)],
    ),
    "week 53 belongs to the old year": (
        *("Asia/Kathmandu", "week", ("2020-12-28", "2021-01-04")),
        ["2020-12-31T18:15Z", "2021-01-03T18:14:59.999Z", "2021-01-03T18:15Z"],
        [("2020-W53", "2020-12-27T18:15:00Z", 2), ("2021-W01", "2021-01-03T18:15:00Z", 1)],
    ),
    "a day begins once, though its first minute comes twice": (
        *("America/St_Johns", "day", ("2006-10-28", "2006-10-29")),
        ["2006-10-29T02:29:59.999Z", "2006-10-29T02:30Z", "2006-10-29T02:31Z", "2006-10-29T03:30Z"],
        [("2006-10-28", "2006-10-28T02:30:00Z", 1), ("2006-10-29", "2006-10-29T02:30:00Z", 3)],
    ),
    "clocks set at one minute past midnight": (
        *("America/St_Johns", "hour", ("2006-10-29T01:30Z", "2006-10-29T04:30Z")),
        ["2006-10-29T02:30Z", "2006-10-29T02:31Z", "2006-10-29T03:29:59.999Z", "2006-10-29T03:30Z"],
        [
            ("2006-10-28 23:00", "2006-10-29T01:30:00Z", 0),
            ("2006-10-29 00:00", "2006-10-29T02:30:00Z", 1),
            ("2006-10-28 23:00", "2006-10-29T02:31:00Z", 2),
            ("2006-10-29 00:00", "2006-10-29T03:30:00Z", 1),
        ],
    ),
    "clocks set within an hour": (
        *("America/Caracas", "hour", ("2016-05-01T06:30Z", "2016-05-01T08:00Z")),
        ["2016-05-01T06:59:59.999Z", "2016-05-01T07:00Z", "2016-05-01T07:59:59.999Z"],
        [("2016-05-01 02:00", "2016-05-01T06:30:00Z", 1), ("2016-05-01 03:00", "2016-05-01T07:00:00Z", 2)],
    ),
}


@pytest.mark.parametrize("case", ON_THE_WALL)
async def test_a_clock_on_the_wall(service: Service, site: str, case: str) -> None:
    zone, compare, (start, end), instants, expected = ON_THE_WALL[case]
    world = World([], [], [{"blog_id": "b", "viewed_at": at} for at in instants], [], [])
    truth = await told(service, site, world)
    asked = Asked("performance", {"compare": compare, "timezone": zone, "start": start, "end": end}, "GET", 1000)
    assert [(row["period"], row["start"], row["y"]) for row in truth.performance(asked.parameters)] == expected
    await check(service, site, truth, asked)


@given(world=worlds(asked=0))
@settings(max_examples=10, print_blob=True)
@pytest.mark.parametrize("distinct", ["approx", "exact"])
async def test_distinct_blogs_of_a_year_are_the_union_of_its_months(
    service: Service, world: World, distinct: str
) -> None:
    """Views add; distinct blogs do not."""
    site = new_site()
    truth = await told(service, site, world)
    year = clock(truth.views[0].at, "Asia/Kolkata").year
    asked = {"site": site, "year": year, "timezone": "Asia/Kolkata", "distinct": distinct, "page_size": 1000}
    months = (await service.ask("/api/analytics/performance/", **asked, compare="month"))["results"]
    (whole,) = (await service.ask("/api/analytics/performance/", **asked, compare="year"))["results"]
    ends = [first_instant(clock(0, "UTC").date().replace(year=year + n), "Asia/Kolkata") for n in (0, 1)]
    union = {view.blog_id for view in truth.views if ends[0] <= view.at < ends[1]}
    assert whole["blogs"] == len(union) <= sum(month["blogs"] for month in months)
    assert whole["y"] == sum(month["y"] for month in months)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("compare", ["hour", "day", "week", "month", "year"])
async def test_a_blog_may_be_as_old_as_the_epoch(service: Service, site: str, compare: str, zone: str) -> None:
    """Importers give 1970 for 'unknown', and its first period may begin before."""
    blog = {"blog_id": "b", "created_at": "1970-01-01T00:00:00Z"}
    truth = await told(service, site, World([], [blog], [], [], []))
    asked = {"compare": compare, "timezone": zone, "x_metric": "created"}
    await check(service, site, truth, Asked("performance", asked, "GET", 1000))


async def test_a_blog_viewed_every_month_is_one_blog_of_the_year(service: Service, site: str) -> None:
    await service.post([{"site": site, "blog_id": "b", "viewed_at": f"2024-{n:02}-15T12:00Z"} for n in range(1, 13)])
    for distinct in ("approx", "exact"):
        answer = await service.ask("/api/analytics/performance/", site=site, compare="year", distinct=distinct)
        assert [(row["blogs"], row["y"]) for row in answer["results"]] == [(1, 12)]
