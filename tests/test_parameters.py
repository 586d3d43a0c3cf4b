"""Wrong questions: each is a 422 that names the parameter, by GET and by POST; pages past the end are 404."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service import Json, Service

# fmt: off
WRONG = [
    # parameters                                              field named
    ({"start": "x"},                                          "start"),
    ({"start": "2025-02-30"},                                 "start"),
    ({"start": "2025-01-01T00:00:00"},                        "start"),   # which zone?
    ({"start": "2025-01-01T00:00:00 02:00"},                  "start"),   # a + that became a space
    ({"start": "1969-12-31"},                                 "start"),
    ({"start": "0001-01-01"},                                 "start"),
    ({"end": "9999-12-31"},                                   "end"),
    ({"end": "2999-01-01"},                                   "end"),
    ({"start": "2025-01-02", "end": "2025-01-01"},            "end"),
    ({"start": "2025-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}, "end"),
    ({"range": "decade"},                                     "range"),
    ({"range": "day", "year": 2025},                          "range"),
    ({"range": "day", "start": "2025-01-01"},                 "range"),
    ({"year": 2025, "end": "2025-01-01"},                     "year"),
    ({"year": "soon"},                                        "year"),
    ({"year": 1500},                                          "year"),
    ({"timezone": "Mars/Olympus"},                            "timezone"),
    ({"timezone": "../etc/passwd"},                           "timezone"),
    ({"timezone": "+05:45"},                                  "timezone"),
    ({"country_codes": "USA"},                                "country_codes"),
    ({"country_codes": ""},                                   "country_codes"),
    ({"country_codes": "ß"},                                  "country_codes"),  # upper() makes it SS
    ({"country_codes": "ﬁ"},                                  "country_codes"),  # and this FI
    ({"country_codes": " ET"},                                "country_codes"),
    ({"exclude_country_codes": "ET,ZZ"},                      "exclude_country_codes"),
    ({"user_id": ""},                                         "user_id"),
    ({"user_id": "a\x00b"},                                   "user_id"),
    ({"user_id": "a\x7fb"},                                   "user_id"),
    ({"blog_id": "x" * 129},                                  "blog_id"),
    ({"author_username": ""},                                 "author_username"),
    ({"site": ""},                                            "site"),
    ({"distinct": "roughly"},                                 "distinct"),
    ({"explain": "perhaps"},                                  "explain"),
    ({"page": 0},                                             "page"),
    ({"page": "last"},                                        "page"),
    ({"page_size": 0},                                        "page_size"),
    ({"filters": "{"}, "filters"),
    ({"filters": '{"and": []}'}, "filters.and"),
    ({"filters": '{"and": [{"eq": {"field": "password", "value": "x"}}]}'}, "filters.and[0].eq.field"),
    ({"filters": '{"not": {"in": {"field": "blog.id", "value": ["a", true]}}}'}, "filters.not.in.value[1]"),
    ({"colour": "red"},                                       "colour"),
]
# fmt: on

OF_ONE_ENDPOINT = [
    ("blog-views", {"group_by": "planet"}, "group_by"),
    ("blog-views", {"object_type": "planet"}, "object_type"),
    ("blog-views", {"group_by": "user", "object_type": "blog"}, "object_type"),
    ("blog-views", {"interval": "hour"}, "interval"),
    ("blog-views", {"compare": "day"}, "compare"),
    ("blog-views/planet", {}, "group_by"),
    ("blog-views/user", {"group_by": "blog"}, "group_by"),
    ("top", {"top": "planet"}, "top"),
    ("top", {"limit": 0}, "limit"),
    ("top", {"limit": 101}, "limit"),
    ("top/planet", {}, "top"),
    ("performance", {"compare": "minute"}, "compare"),
    ("performance", {"x_metric": "liked"}, "x_metric"),
    ("performance", {"compare": "hour", "start": "1980-01-01", "end": "2050-01-01"}, "start"),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", ["blog-views", "top", "performance"])
@pytest.mark.parametrize(("parameters", "field"), WRONG)
async def test_wrong_parameter_is_named(
    service: Service, method: str, endpoint: str, parameters: Json, field: str
) -> None:
    await assert_named(service, method, endpoint, parameters, field)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("endpoint", "parameters", "field"), OF_ONE_ENDPOINT)
async def test_wrong_parameter_of_one_endpoint_is_named(
    service: Service, method: str, endpoint: str, parameters: Json, field: str
) -> None:
    await assert_named(service, method, endpoint, parameters, field)


async def assert_named(service: Service, method: str, endpoint: str, parameters: Json, field: str) -> None:
    path = f"/api/analytics/{endpoint}/"
    if method == "GET":
        response = await service.http.get(path, params=parameters)
    else:
        response = await service.http.post(path, json=parameters)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert field in [error["field"] for error in problem["errors"]], problem
    assert all(error["message"] for error in problem["errors"])


async def test_parameter_given_twice_or_in_two_places_is_named(service: Service) -> None:
    twice = await service.http.get("/api/analytics/top?site=a&site=b")
    address = await service.http.post("/api/analytics/top?page=2", json={})
    assert [response.json()["errors"][0]["field"] for response in (twice, address)] == ["site", "page"]
    assert (twice.status_code, address.status_code) == (422, 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b'{"a":' * 100_000, 400),
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"page": NaN}', 422),
        (b'{"page": 1e400}', 422),
        (b'{"site": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"country_codes": []}', 422),
        (b'{"country_codes": [1]}', 422),
        (b'{"exclude_country_codes": []}', 422),
        (b'{"user_id": true}', 422),
        (b" " * (10 * 2**20 + 1), 413),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_bad_body_gets_its_status(service: Service, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    response = await service.http.post("/api/analytics/performance/", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["status"] == status


async def test_body_that_is_not_said_to_be_json_is_415(service: Service) -> None:
    response = await service.http.post("/api/analytics/top/", content=b"{}", headers={"Content-Type": "text/plain"})
    assert response.status_code == 415


@pytest.mark.parametrize("page", [2, 10**9, 10**30])
async def test_page_past_the_end_is_404(service: Service, site: str, page: int) -> None:
    for endpoint in ("blog-views", "top", "performance"):
        response = await service.http.get(f"/api/analytics/{endpoint}/", params={"site": site, "page": page})
        assert response.status_code == 404, response.text
        assert response.headers["content-type"] == "application/problem+json"


async def test_larger_page_size_is_clamped(service: Service, site: str) -> None:
    await service.post([{"blog_id": number, "site": site} for number in range(1001)])
    answer = await service.ask("/api/analytics/blog-views/blog/", site=site, page_size=10**9)
    assert (answer["count"], len(answer["results"])) == (1001, 1000)
    second = (await service.http.get(answer["next"])).json()
    assert (len(second["results"]), second["next"]) == (1, None)
    assert "page=" not in second["previous"].replace("page_size=", "")


@pytest.mark.parametrize("path", ["blog-views", "top", "performance"])
async def test_countries_of_which_none_is_left_are_contradictory(service: Service, path: str) -> None:
    countries = {"country_codes": "US,ET", "exclude_country_codes": "et,DE,US"}
    answer = await service.http.get(f"/api/analytics/{path}", params=countries)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"field": "exclude_country_codes", "message": "leaves none of country_codes"}],
    )
    some = await service.http.get(f"/api/analytics/{path}", params={**countries, "exclude_country_codes": "ET,DE"})
    assert some.status_code == 200


async def test_a_wrong_period_is_told_like_any_other_wrong_word(service: Service) -> None:
    answer = await service.http.get("/api/analytics/performance", params={"compare": "quarter"})
    assert answer.json()["detail"] == "compare: Input should be 'hour', 'day', 'week', 'month' or 'year'"


async def test_lists_are_repeated_or_comma_separated(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "site": site, "country": code} for code in ("US", "ET", "DE", "")])
    by_comma = await service.http.get("/api/analytics/blog-views", params={"site": site, "country_codes": "us,ET"})
    repeated = await service.http.get("/api/analytics/blog-views", params={"site": site, "country_codes": ["US", "ET"]})
    posted = await service.http.post("/api/analytics/blog-views", json={"site": site, "country_codes": ["US", "ET"]})
    rows: list[list[Any]] = [response.json()["results"] for response in (by_comma, repeated, posted)]
    assert [row["id"] for row in rows[0]] == ["ET", "US"]
    assert rows[0] == rows[1] == rows[2]
    without = await service.ask("/api/analytics/blog-views", site=site, exclude_country_codes="ET,DE")
    assert [row["id"] for row in without["results"]] == ["", "US"]


async def test_empty_code_is_the_unknown_country_but_an_empty_parameter_is_none(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "site": site, "country": code} for code in ("US", "ET", "")])

    async def rows(query: str = "", **posted: Any) -> list[str]:
        path = "/api/analytics/blog-views"
        response = await (
            service.http.post(path, json={"site": site, **posted})
            if posted
            else service.http.get(f"{path}?site={site}&{query}")
        )
        assert response.status_code == 200, response.text
        return [row["id"] for row in response.json()["results"]]

    assert await rows(country_codes=[""]) == await rows("country_codes=,") == [""]
    assert await rows(country_codes=["ET", ""]) == await rows("country_codes=ET&country_codes=,") == ["", "ET"]
    assert (
        await rows("country_codes=ET,") == await rows("country_codes=,ET") == await rows("country_codes=ET") == ["ET"]
    )
    assert await rows(exclude_country_codes=[""]) == await rows("exclude_country_codes=,") == ["ET", "US"]
    assert await rows("country_codes=ET&country_codes=") == ["", "ET"]
    empty = await service.http.get(f"/api/analytics/blog-views?site={site}&country_codes=")
    assert (empty.status_code, empty.json()["errors"][0]["field"]) == (422, "country_codes")


async def test_next_page_of_the_unknown_country_asks_for_it_too(service: Service, site: str) -> None:
    await service.post([{"blog_id": blog, "site": site, "country": code} for blog in "ab" for code in ("ET", "")])
    asked = {"site": site, "group_by": "blog", "page_size": 1, "country_codes": [""]}
    first = (await service.http.post("/api/analytics/blog-views", json=asked)).json()
    second = (await service.http.get(first["next"])).json()
    assert [(page["count"], page["results"][0]["z"]) for page in (first, second)] == [(2, 1), (2, 1)]


async def test_paths_work_with_and_without_slash_and_without_redirect(service: Service, site: str) -> None:
    for path in ("/api/analytics/top", "/api/analytics/top/blog", "/api/blogs", "/healthz", "/docs", "/openapi.json"):
        for slash in ("", "/"):
            response = await service.http.get(path + slash)
            assert response.status_code == 200, path + slash


async def test_unknown_path_and_method_are_problems(service: Service) -> None:
    missing, wrong = await service.http.get("/api/nothing"), await service.http.get("/api/events")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    for response in (missing, wrong):
        assert response.headers["content-type"] == "application/problem+json"
