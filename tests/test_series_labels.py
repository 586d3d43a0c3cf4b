"""Labels with hostile values and names: filters, groups and the catalogue of what there is."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from clickhouse import catalogue
from tests.oracle_calendar import DAY, instant
from tests.oracle_samples import Taken, rows
from tests.samples import send
from tests.service import Json, Service, new_site

METRIC = "m:hostile"

VALUES = (
    *('"', "'", "\\", "\\\\", "\\'", "\n", "a\nb", "\t", "\r\n", "a,b", "a=b", 'k="v"', "{}", "[]", "NULL", "\\N", "%"),
    *("{site:String}", "'); DROP TABLE samples; --", "ё", "e\u0301", "é", "日本", "🦊", "\u2028", " ", "  ", "0", "00"),
    *("true", "null", "a" * 1024, "\x01\x7f", "$1", "`", "?", "\\u0041", "\b\f"),
)
NAMES = ("select", "OR", "_", "labels", "t", "user", "site", "null", "A9_")

START = instant("2024-06-01T00:00:00+00:00")
SAMPLES = [
    Taken(START + index * DAY // 7 + index, index / 4, {NAMES[index % len(NAMES)]: value, "all": value})
    for index, value in enumerate(VALUES)
] + [Taken(START + 1, 5.5, {})]


@pytest.fixture(scope="module")
async def site(service: Service) -> str:
    site = new_site()
    await send(service, site, METRIC, SAMPLES)
    return site


async def ask(service: Service, site: str, **asked: object) -> list[Json]:
    given = {"site": site, "metric": METRIC, "interval": "year", **asked}
    response = await service.http.post("/api/samples/query", json=given)
    assert response.status_code == 200, response.text
    found: list[Json] = response.json()["results"]
    return found


async def test_any_value_can_be_asked_for_and_comes_back_as_it_was(service: Service, site: str) -> None:
    for value in VALUES:
        asked: Json = {"labels": {"all": value}, "group_by": ["all", "select"]}
        found = await ask(service, site, **asked)
        assert found == rows(SAMPLES, asked, "year"), value
        assert found[0]["labels"]["all"] == value
    samples = await ask(service, site, interval="raw", page_size=1000)
    assert samples == rows(SAMPLES, {}, "raw")


@pytest.mark.parametrize("several", [VALUES[::2], VALUES[1::2], [*VALUES[:3], ""], ["", "nobody"], ["nobody"]])
async def test_several_values_are_any_of_them_and_an_empty_one_is_none(
    service: Service, site: str, several: list[str]
) -> None:
    for asked in (
        {"labels": {"all": list(several)}, "group_by": ["all"]},
        {"labels": {"all": list(several), "OR": [VALUES[1], ""]}, "group_by": list(NAMES)},
    ):
        assert await ask(service, site, **asked) == rows(SAMPLES, asked, "year")


async def test_labels_in_an_address_are_json_or_pairs(service: Service, site: str) -> None:
    for value in VALUES:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for text in (json.dumps({"all": [value]}), f'all="{escaped}"'):
            answer = await service.ask(
                "/api/samples/query", site=site, metric=METRIC, interval="raw", labels=text, page_size=1
            )
            assert [row["labels"]["all"] for row in answer["results"]] == [value], text
    plain = await service.ask("/api/samples/query", site=site, metric=METRIC, interval="raw", labels="all = 0")
    assert plain["count"] == 1
    number = await ask(service, site, labels={"all": 0})
    assert number[0]["count"] == 1
    in_json = await service.ask("/api/samples/query", site=site, metric=METRIC, interval="raw", labels='{"all": 0}')
    assert in_json["count"] == 1


async def test_the_next_page_has_the_same_labels(service: Service, site: str) -> None:
    asked: Json = {"site": site, "metric": METRIC, "interval": "raw", "labels": {"all": list(VALUES)}, "page_size": 20}
    first = (await service.http.post("/api/samples/query", json=asked)).json()
    second = (await service.http.get(first["next"])).json()
    assert [*first["results"], *second["results"]] == rows(SAMPLES, {"labels": asked["labels"]}, "raw")


async def test_labels_are_listed_with_their_values_and_how_many_series_have_them(service: Service, site: str) -> None:
    # One more sample of a series that is there, and a second series of one of the values.
    more = [Taken(START + 5, 1.0, SAMPLES[0].labels), Taken(START + 6, 1.0, {"all": VALUES[0], "other": "x"})]
    site = new_site()
    await send(service, site, METRIC, [*SAMPLES, *more])
    found = await service.ask("/api/samples/labels", site=site, metric=METRIC, limit=1000)
    series = {json.dumps(one.labels, sort_keys=True): one.labels for one in [*SAMPLES, *more]}
    assert (found["metric"], found["series"], found["cut_off"]) == (METRIC, len(series), False)
    of_series = Counter(pair for labels in series.values() for pair in labels.items())
    of_samples = Counter(pair for one in [*SAMPLES, *more] for pair in one.labels.items())
    assert [row["label"] for row in found["results"]] == sorted({name for name, _ in of_series})
    for row in found["results"]:
        told = [(one["value"], one["series"], one["samples"]) for one in row["values"]]
        values = {value for name, value in of_series if name == row["label"]}
        expected = [(value, of_series[row["label"], value], of_samples[row["label"], value]) for value in values]
        assert told == sorted(expected, key=lambda one: (-one[1], one[0]))
        assert (row["count"], row["cut_off"]) == (len(values), False)
    cut = await service.ask("/api/samples/labels", site=site, metric=METRIC, limit=2)
    every = cut["results"][[row["label"] for row in cut["results"]].index("all")]
    assert (every["values"][0]["value"], every["cut_off"]) == (VALUES[0], True)
    assert (len(every["values"]), every["count"]) == (2, len(VALUES))


async def test_a_list_of_labels_is_cut_off_only_where_there_are_more(
    service: Service, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await service.ask("/api/samples/labels", site=site, metric=METRIC, limit=1000)
    values = sum(len(row["values"]) for row in whole["results"])
    for most, kept, cut_off in [(values + 1, values, False), (values, values, False), (values - 1, values - 1, True)]:
        monkeypatch.setattr(catalogue, "MOST_VALUES", most)
        found = await service.ask("/api/samples/labels", site=site, metric=METRIC, limit=1000)
        assert sum(len(row["values"]) for row in found["results"]) == kept
        assert found["cut_off"] is cut_off


async def test_a_page_past_the_end_tells_no_number_of_rows(service: Service, site: str) -> None:
    past = await service.http.get(
        "/api/samples/query", params={"site": site, "metric": METRIC, "interval": "raw", "page": 9, "page_size": 20}
    )
    assert (past.status_code, past.json()["detail"]) == (404, "there is no page 9 of 20 rows each")


async def test_metrics_are_listed_with_their_first_and_last_minute(service: Service) -> None:
    site = new_site()
    await send(service, site, "b", [Taken(START + 61_000, 1.0, {}), Taken(START + 400 * DAY + 1, 2.0, {"user": "1"})])
    await send(service, site, "a:b_9", [Taken(START - 1, 1.0, {})])
    await send(service, site, "A", [Taken(START + minute * 60_000, 1.0, {}) for minute in range(3)])
    answer = await service.ask("/api/samples/metrics", site=site, page_size=2)
    second = (await service.http.get(answer["next"])).json()
    assert answer["count"] == second["count"] == 3
    assert [*answer["results"], *second["results"]] == [
        {"metric": "A", "samples": 3, "first": "2024-06-01T00:00:00Z", "last": "2024-06-01T00:02:00Z"},
        {"metric": "a:b_9", "samples": 1, "first": "2024-05-31T23:59:00Z", "last": "2024-05-31T23:59:00Z"},
        {"metric": "b", "samples": 2, "first": "2024-06-01T00:01:00Z", "last": "2025-07-06T00:00:00Z"},
    ]


async def test_numbers_beyond_a_float_are_null_not_infinite(service: Service) -> None:
    site, largest = new_site(), 1.7e308
    await send(service, site, METRIC, [Taken(START, largest, {}), Taken(START + 1, largest, {})])
    asked = {"aggregates": ["avg", "min", "max", "sum", "last", "p50", "count"]}
    [row] = await ask(service, site, **asked)
    assert (row["min"], row["max"], row["last"], row["count"]) == (largest, largest, largest, 2)
    assert (row["sum"], row["avg"]) == (None, None)
    assert row["p50"] == largest
