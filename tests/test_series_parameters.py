"""Wrong questions about samples: each is a 422 that names the parameter, by GET and by POST."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.service import Json, Service

# fmt: off
WRONG: list[tuple[Json, str, str]] = [
    # parameters                                              field named        what would be right
    ({"metric": None},                                        "metric",          "required"),
    ({"metric": ""},                                          "metric",          "[a-zA-Z_:]"),
    ({"metric": "1st"},                                       "metric",          "[a-zA-Z_:]"),
    ({"metric": "a-b"},                                       "metric",          "[a-zA-Z_:]"),
    ({"metric": "m\n"},                                       "metric",          "[a-zA-Z_:]"),
    ({"metric": "m" * 201},                                   "metric",          "200"),
    ({"interval": "second"},                                  "interval",        "minute"),
    ({"interval": "minute", "year": 2024},                    "interval",        "100000"),
    ({"interval": "hour", "start": "2000-01-01", "end": "2024-01-01"}, "interval", "longer periods"),
    ({"aggregates": "median"},                                "aggregates.0",    "p50"),
    ({"aggregates": ""},                                      "aggregates",      "at least one"),
    ({"aggregates": "avg,,stddev"},                           "aggregates.1",    "avg"),
    ({"group_by": ","},                                       "group_by",        "at least one"),
    ({"group_by": "user id"},                                 "group_by.0",      "names like"),
    ({"group_by": "user,__name__"},                           "group_by.1",      "__name__"),
    ({"group_by": "user') OR 1=1 --"},                        "group_by.0",      "names like"),
    ({"group_by": ",".join(f"l{n}" for n in range(21))},      "group_by",        "20"),
    ({"labels": "{"},                                         "labels",          "JSON"),
    ({"labels": "[1]"},                                       "labels",          "name=value"),
    ({"labels": '{"user": []}'},                              "labels",          "at least one"),
    ({"labels": '{"user": null}'},                            "labels",          "string"),
    ({"labels": '{"user": true}'},                            "labels",          "string"),
    ({"labels": '{"user": {"a": 1}}'},                        "labels",          "string"),
    ({"labels": '{"user": [1.5]}'},                           "labels",          "string"),
    ({"labels": '{"user": "1", "user": "2"}'},                "labels",          "twice"),
    ({"labels": '{"__name__": "m"}'},                         "labels",          "__name__"),
    ({"labels": '{"1st": "m"}'},                              "labels",          "names like"),
    ({"labels": '{"user": "\\u0000"}'},                       "labels",          "NUL"),
    ({"labels": '{"user": "\\ud800"}'},                       "labels",          "half"),
    ({"labels": json.dumps({"user": "x" * 1025})},            "labels",          "1024"),
    ({"labels": f'{{"user": {"9" * 5000}}}'},                 "labels",          "1024"),
    ({"labels": json.dumps({"user": [str(n) for n in range(1001)]})}, "labels",  "1000"),
    ({"labels": json.dumps({"user": [f"{n}{'x' * 1000}" for n in range(51)]})}, "labels", "50000"),
    ({"labels": json.dumps({f"l{n}": "x" for n in range(65)})}, "labels",        "64"),
    ({"labels": "user"},                                      "labels",          "name=value"),
    ({"labels": 'user="1'},                                   "labels",          "quotes"),
    ({"labels": "user-id=1"},                                 "labels",          "names like"),
    ({"labels": "user=1,user=2"},                             "labels",          "both"),
    ({"start": "x"},                                          "start",           "2025-01-31"),
    ({"start": "2025-01-02", "end": "2025-01-01"},            "end",             "after"),
    ({"range": "day", "year": 2025},                          "range",           "together"),
    ({"timezone": "Mars/Olympus"},                            "timezone",        "IANA"),
    ({"site": ""},                                            "site",            ""),
    ({"page": 0},                                             "page",            ""),
    ({"explain": "perhaps"},                                  "explain",         ""),
    ({"filters": "{}"},                                       "filters",         "unknown parameter"),
    ({"colour": "red"},                                       "colour",          "unknown parameter"),
]
# fmt: on


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("parameters", "field", "right"), WRONG)
async def test_wrong_parameter_is_named_with_what_would_be_right(
    service: Service, method: str, parameters: Json, field: str, right: str
) -> None:
    asked = {name: value for name, value in {"metric": "m", **parameters}.items() if value is not None}
    path = "/api/samples/query"
    response = await (service.http.get(path, params=asked) if method == "GET" else service.http.post(path, json=asked))
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    errors = {error["field"]: error["message"] for error in response.json()["errors"]}
    assert right in errors.get(field, "nothing is said"), errors


@pytest.mark.parametrize("labels", [[], 5, "", {"user": ["1", None]}, {"": "x"}])
async def test_labels_in_a_body_are_objects_or_text(service: Service, labels: Any) -> None:
    response = await service.http.post("/api/samples/query", json={"metric": "m", "labels": labels})
    found = response.status_code, [error["field"] for error in response.json().get("errors", [])]
    assert found == ((200, []) if labels == "" else (422, ["labels"])), response.text


async def test_only_lists_repeat(service: Service) -> None:
    path = "/api/samples/query?metric=m"
    for address, field in [(f"{path}&metric=n", "metric"), (f"{path}&labels=a=1&labels=b=1", "labels")]:
        response = await service.http.get(address)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)
    repeated = f"{path}&group_by=a&group_by=b,a&aggregates=avg&aggregates=min"
    assert (await service.http.get(repeated)).status_code == 200
    posted = await service.http.post(path, json={"metric": "m"})
    assert (posted.status_code, posted.json()["errors"][0]["field"]) == (422, "metric")


async def test_unknown_metric_is_an_empty_answer(service: Service, site: str) -> None:
    for interval in ("auto", "raw", "day"):
        answer = await service.ask("/api/samples/query", site=site, metric="nothing", interval=interval)
        assert (answer["count"], answer["results"]) == (0, [])
        past = {"site": site, "metric": "nothing", "interval": interval, "page": 2}
        assert (await service.http.get("/api/samples/query", params=past)).status_code == 404
    assert (await service.ask("/api/samples/metrics", site=site))["results"] == []
    labels = await service.ask("/api/samples/labels", site=site, metric="nothing")
    assert labels == {"metric": "nothing", "series": 0, "results": [], "cut_off": False}


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        ("labels", {}, "metric"),
        ("labels", {"metric": "a b"}, "metric"),
        ("labels", {"metric": "m", "limit": 1001}, "limit"),
        ("labels", {"metric": "m", "page": 1}, "page"),
        ("metrics", {"metric": "m"}, "metric"),
        ("metrics", {"page": 0}, "page"),
    ],
)
async def test_wrong_parameter_of_the_catalogue_is_named(
    service: Service, path: str, parameters: Json, field: str
) -> None:
    response = await service.http.get(f"/api/samples/{path}", params=parameters)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)
