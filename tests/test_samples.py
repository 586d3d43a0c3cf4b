"""POST /api/samples through the front door: each format and each answer, and what is stored then."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import zstandard

from clickhouse.rollups import SAMPLE_GRAINS
from clickhouse.statement import Statement
from service.ingest.items import MAX_ITEMS
from service.samples.parse import SampleIn
from service.state import State
from tests.compression import gzipped
from tests.conftest import NewDsn
from tests.service import Json, Service, open_service
from workers.metrics import SAMPLE_FIELDS

AT = 1_738_324_800_123
SECOND = "2025-01-31T12:00:00Z"
PROMETHEUS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
OPENMETRICS = {"Content-Type": "application/openmetrics-text; charset=utf-8; version=1.0.0"}
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


async def send(service: Service, body: Any, headers: dict[str, str] = JSON, **parameters: str) -> Json:
    """What is accepted is stored when this returns."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    response = await service.http.post(
        "/api/samples", content=content, headers=headers, params={"wait": "stored", **parameters}
    )
    assert response.status_code == 202, response.text
    answer: Json = response.json()
    assert answer.pop("stored")
    return answer


async def stored(service: Service, site: str) -> list[tuple[Any, ...]]:
    """(metric, labels, epoch ms, value), in order."""
    state: State = service.app.state.readership
    rows = await state.engine.select(
        Statement(
            "SELECT metric, labels, toUnixTimestamp64Milli(at), value FROM samples"
            " WHERE site = {site:String} ORDER BY metric, labels, at, value",
            {"site": site},
        )
    )
    return [tuple(row) for row in rows]


async def test_object_array_and_lines_are_accepted(service: Service, site: str) -> None:
    one = {"metric": "heart_rate", "value": 61.5, "at": SECOND, "labels": {"user": "ada", "device": ""}, "site": site}
    many = [{**one, "value": 1, "at": AT}, {**one, "value": 2.5, "at": AT + 1}]
    lines = "\n".join(json.dumps({**one, "metric": f"m:{number}"}) for number in range(3)) + "\n\n"
    assert await send(service, one) == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert (await send(service, many))["accepted"] == 2
    assert (await send(service, lines, NDJSON))["accepted"] == 3
    labels = '{"user":"ada"}'
    assert await stored(service, site) == [
        ("heart_rate", labels, AT - 123, 61.5),
        ("heart_rate", labels, AT, 1.0),
        ("heart_rate", labels, AT + 1, 2.5),
        *((f"m:{number}", labels, AT - 123, 61.5) for number in range(3)),
    ]


async def test_every_rollup_holds_what_raw_holds(service: Service, site: str) -> None:
    at = ["2024-02-29T23:59:59.999Z", "2024-03-01T00:00:00Z", "2026-01-01T01:00:00+01:00"]
    body = [
        {"metric": "m", "value": value, "at": one, "labels": {"u": user}, "site": site}
        for value, one in enumerate(at)
        for user in "ab"
    ]
    assert (await send(service, body))["accepted"] == 6
    state: State = service.app.state.readership
    for grain in SAMPLE_GRAINS:
        rows = await state.engine.select(
            Statement(
                f"SELECT toString(dimension_set), sum(count), sum(sum), min(min), max(max) FROM {grain.table}"
                " WHERE site = {site:String} GROUP BY dimension_set ORDER BY dimension_set",
                {"site": site},
            )
        )
        assert [tuple(row) for row in rows] == [(name, 6, 6.0, 0.0, 2.0) for name in ("metric", "series")], grain.name


TEXT = 'm{b="x \\"y\\", {z}\\n\\\\",a="አዲስ"} 1.5 %s\nm 2 %s\n'
HELD = [("m", '{"a":"አዲስ","b":"x \\"y\\", {z}\\n\\\\"}', AT, 1.5), ("m", "{}", AT, 2.0)]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (PROMETHEUS, TEXT % (AT, AT)),
        ({"Content-Type": "text/plain"}, f"# TYPE m counter\n\n{TEXT % (AT, AT)}"),
        (OPENMETRICS, TEXT % ("1738324800.123", "1.738324800123e+09") + "# EOF\n"),
        ({"Content-Type": "application/openmetrics-text"}, TEXT % (f"{AT / 1000}", f"{AT / 1000}") + "# EOF"),
    ],
)
async def test_text_is_read_to_the_millisecond(service: Service, site: str, headers: dict[str, str], body: str) -> None:
    assert await send(service, body, headers, site=site) == {"accepted": 2, "duplicates": 0, "rejected": []}
    assert await stored(service, site) == HELD
    # The same again, in other words, is the same.
    same = [
        {"metric": metric, "labels": json.loads(labels), "at": at, "value": value} for metric, labels, at, value in HELD
    ]
    assert await send(service, same, site=site) == {"accepted": 0, "duplicates": 2, "rejected": []}
    assert await stored(service, site) == HELD


async def test_a_sample_names_its_site_itself_or_the_address_does(service: Service, site: str) -> None:
    body = [{"metric": "m", "value": 1}, {"metric": "m", "value": 1, "site": f"{site}-2"}]
    assert (await send(service, body, site=site))["accepted"] == 2
    assert [len(await stored(service, one)) for one in (site, f"{site}-2")] == [1, 1]


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzipped), ("deflate", zlib.compress), ("zstd", zstandard.compress)]
)
@pytest.mark.parametrize("headers", [JSON, PROMETHEUS])
async def test_compressed_bodies_are_accepted(
    service: Service, site: str, encoding: str, compress: Callable[[bytes], bytes], headers: dict[str, str]
) -> None:
    body = b"m 1\n" if headers is PROMETHEUS else b'{"metric": "m", "value": 1}'
    answer = await send(service, compress(body), {**headers, "Content-Encoding": encoding}, site=site)
    assert answer["accepted"] == 1


async def test_the_same_sample_is_counted_once_and_another_value_is_a_correction(service: Service, site: str) -> None:
    sample = {"metric": "m", "value": 0, "at": AT, "labels": {"a": 7, "c": ""}, "site": site}
    reordered = {"site": site, "labels": {"c": None, "a": "7"}, "value": -0.0, "at": AT, "metric": "m"}
    assert await send(service, [sample, reordered]) == {"accepted": 1, "duplicates": 1, "rejected": []}
    answers = await asyncio.gather(*(send(service, reordered) for _ in range(5)))
    assert sum(answer["duplicates"] for answer in answers) == 5
    assert (await send(service, {**sample, "value": 2}))["accepted"] == 1
    assert [value for *_, value in await stored(service, site)] == [0.0, 2.0]


async def test_many_samples_in_each_format(service: Service, site: str) -> None:
    """More than are read on the event loop, and more than a slice."""
    times = range(AT - 3_000_000, AT, 1_000)
    text = "".join(f'm{{i="{at % 7}"}} 1 {at}\n' for at in times)
    assert (await send(service, text, PROMETHEUS, site=site))["accepted"] == 3_000
    body = [{"metric": "m", "value": 1, "at": at, "labels": {"i": str(at % 7)}} for at in times]
    body[2_500] = {"metric": "m", "value": None}
    answer = await send(service, body, site=site)
    assert (answer["accepted"], answer["duplicates"]) == (0, 2_999)
    assert [(fault["index"], fault["field"]) for fault in answer["rejected"]] == [(2_500, "value")]


async def test_many_labels_are_not_many_samples(service: Service, site: str) -> None:
    """Commas are counted before samples are."""
    labels = {f"l{number}": "x" for number in range(60)}
    samples = [{"metric": "m", "value": 1, "labels": labels, "at": AT + number} for number in range(17_000)]
    body = json.dumps(samples).encode()
    assert body.count(b",") > 10 * MAX_ITEMS
    answer = await send(service, gzipped(body), {**JSON, "Content-Encoding": "gzip"}, site=site)
    assert answer["accepted"] == 17_000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"metric": None}, "metric"),
        ({"metric": ""}, "metric"),
        ({"metric": 1}, "metric"),
        ({"metric": "1m"}, "metric"),
        ({"metric": "m-n"}, "metric"),
        ({"metric": "m\n"}, "metric"),
        ({"metric": "é"}, "metric"),
        ({"metric": "m" * 201}, "metric"),
        ({"value": None}, "value"),
        ({"value": True}, "value"),
        ({"value": "1"}, "value"),
        ({"value": [1]}, "value"),
        ({"value": float("nan")}, "value"),
        ({"value": float("inf")}, "value"),
        ({"value": 10**400}, "value"),
        ({"at": "2025-01-31"}, "at"),
        ({"at": "2025-01-31T12:00:00"}, "at"),
        ({"at": 946_684_799_999}, "at"),
        ({"at": 1_738_324_800}, "at"),
        ({"at": "2999-01-01T00:00:00Z"}, "at"),
        ({"at": 10**30}, "at"),
        ({"at": 1.5}, "at"),
        ({"labels": "a=b"}, "labels"),
        ({"labels": {"a": 1.5}}, "labels"),
        ({"labels": {"a": True}}, "labels"),
        ({"labels": {"a": ["b"]}}, "labels"),
        ({"labels": {"": "b"}}, "labels"),
        ({"labels": {"a-b": "c"}}, "labels"),
        ({"labels": {"a:b": "c"}}, "labels"),
        ({"labels": {"a\n": "c"}}, "labels"),
        ({"labels": {"a-b": ""}}, "labels"),
        ({"labels": {"__name__": "m"}}, "labels"),
        ({"labels": {"a" * 201: "b"}}, "labels"),
        ({"labels": {"a": "b" * 1_025}}, "labels"),
        ({"labels": {"a": "\x00"}}, "labels"),
        ({"labels": {f"l{number}": "x" for number in range(65)}}, "labels"),
        ({"labels": {f"l{number}": "é" * 600 for number in range(7)}}, "labels"),
        ({"site": ""}, "site"),
        ({"site": "x" * 254}, "site"),
        ({"site": "a\x7f"}, "site"),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_wrong_field_is_named_and_costs_no_other_sample(
    service: Service, site: str, fields: Json, field: str
) -> None:
    good = {"metric": "m", "value": 1, "site": site}
    body = json.dumps([good, {**good, **fields}, {**good, "at": AT}])
    answer = await send(service, body)
    assert answer["accepted"] == 2
    assert [(fault["index"], fault["field"]) for fault in answer["rejected"]] == [(1, field)]
    alone = await service.http.post("/api/samples", content=json.dumps({**good, **fields}), headers=JSON)
    assert alone.status_code == 422
    assert [error["field"] for error in alone.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "fields",
    [
        {"metric": "m" * 200},
        {"metric": ":_:"},
        {"value": -0.5},
        {"value": 0},
        {"value": 2**70},
        {"value": 5e-324},
        {"at": "2000-01-01T00:00:00Z"},
        {"at": None, "labels": None, "site": None},
        {"labels": {}},
        {"labels": {"a": "b" * 1_024, "c": "\n\t\r\x01\"'\\,={}😀"}},
        {"labels": {f"l{number}": "x" * (number < 64) for number in range(70)}},
        {"labels": {"a" * 200: "b", "__a__": "b", "c": None}},
        {"unknown": {"deep": [1]}},
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_acceptable_fields(service: Service, site: str, fields: Json) -> None:
    answer = await send(service, {"metric": "m", "value": 1, **fields}, site=site)
    assert (answer["accepted"], answer["rejected"]) == (1, [])
    ((metric, labels, _, value),) = await stored(service, site)
    kept = {name: value for name, value in (fields.get("labels") or {}).items() if value}
    assert (metric, json.loads(labels), value) == (fields.get("metric", "m"), kept, fields.get("value", 1))


@pytest.mark.parametrize("headers", [PROMETHEUS, OPENMETRICS])
async def test_samples_that_are_no_number_are_told_by_index(
    service: Service, site: str, headers: dict[str, str]
) -> None:
    body = "# HELP a b\n# TYPE a gauge\na 1\nb NaN\nc +Inf\nd 2\n# EOF\n"
    answer = await send(service, body, headers, site=site)
    rejected = [{"index": index, "field": "value", "reason": "must be a finite number"} for index in (1, 2)]
    assert answer == {"accepted": 2, "duplicates": 0, "rejected": rejected}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"m 1\n", JSON, 400),
        (b"one\ntwo", NDJSON, 400),
        (b"[]", JSON, 422),
        (b"[1]", JSON, 422),
        (b"", NDJSON, 422),
        (b"", PROMETHEUS, 422),
        (b"# EOF\n", OPENMETRICS, 422),
        (b"m NaN\n", PROMETHEUS, 422),
        (b"", OPENMETRICS, 400),
        (b"m 1\n", OPENMETRICS, 400),
        (b"m one\n", PROMETHEUS, 400),
        (b"\xff\n", PROMETHEUS, 400),
        (b'{"metric": "m", "value": 1}', PROMETHEUS, 400),
        (b'm{a="b} 1\n' * 10_000, PROMETHEUS, 400),
        (b"m 1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"m 1", {"Content-Type": "text/html"}, 415),
        (b"m 1", {"Content-Type": "text/plain; charset=utf-16"}, 415),
        (b"m 1", {**PROMETHEUS, "Content-Encoding": "br"}, 415),
        (b"m 1", {**PROMETHEUS, "Content-Encoding": "gzip"}, 400),
        (b" " * (10 * 2**20 + 1), PROMETHEUS, 413),
        (gzipped(b" " * (64 * 2**20 + 1)), {**PROMETHEUS, "Content-Encoding": "gzip"}, 413),
        (b"m 1\n" * (MAX_ITEMS + 1), PROMETHEUS, 413),
        (b"m 1\n" * (MAX_ITEMS + 1) + b"# EOF\n", OPENMETRICS, 413),
        (b"{}\n" * (MAX_ITEMS + 1), NDJSON, 413),
        (gzipped(b"[" + b"1," * 2_000_000 + b"1]"), {**JSON, "Content-Encoding": "gzip"}, 413),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_bad_body_gets_its_status_and_a_problem(
    service: Service, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = await service.http.post("/api/samples", content=body, headers=headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail", "errors"} <= response.json().keys()


async def test_the_line_of_a_syntax_error_is_named(service: Service) -> None:
    response = await service.http.post("/api/samples", content='a 1\nb{c="d} 2\n', headers=PROMETHEUS)
    problem = response.json()
    assert (response.status_code, problem["line"]) == (400, 2)
    assert "line 2: " in problem["detail"]
    assert "line 2: " in problem["errors"][0]["message"]


@pytest.mark.parametrize("query", ["site=", "site=a&site=b", f"site={'x' * 254}", "wait=counted", "site=%00"])
async def test_wrong_parameter_is_named(service: Service, query: str) -> None:
    response = await service.http.post(f"/api/samples/?{query}", json={"metric": "m", "value": 1})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_a_key_is_carried_out_once_for_each_site_and_way_in(service: Service, site: str) -> None:
    key = {"Idempotency-Key": str(uuid4())}

    async def post(path: str, **parameters: str) -> tuple[int, bool]:
        response = await service.http.post(path, json={"metric": "m", "value": 1}, headers=key, params=parameters)
        return response.status_code, "Idempotency-Replayed" in response.headers

    assert await post("/api/samples", site=site) == (202, False)
    assert await post("/api/samples", site=site, wait="stored") == (202, True)
    assert await post("/api/samples", site=f"{site}-2") == (422, False)
    assert await post("/api/events") == (422, False)
    # Its time was the moment it came: sent again, it is not taken again.
    await send(service, {"metric": "other", "value": 1, "site": site})
    assert [metric for metric, *_ in await stored(service, site)] == ["m", "other"]


async def test_samples_are_counted_by_what_became_of_them(service: Service, site: str) -> None:
    assert SampleIn.__struct_fields__ == SAMPLE_FIELDS

    def counted() -> dict[str, float]:
        registry = service.app.state.readership.metrics.registry
        names = ("samples_accepted", "samples_duplicate")
        found = {name: registry.get_sample_value(f"readership_{name}_total") for name in names}
        for field in ("value", "event"):
            found[field] = registry.get_sample_value("readership_samples_rejected_total", {"field": field})
        return found

    before = counted()
    good = {"metric": "m", "value": 1, "at": AT}
    await send(service, [good, good, {"metric": "m"}, 1], site=site)
    after = counted()
    assert {name: after[name] - before[name] for name in after} == dict.fromkeys(after, 1)


async def test_when_the_spool_takes_nothing_samples_are_to_be_sent_again(
    new_dsn: NewDsn, redis_url: str, folder: Path
) -> None:
    async with open_service(new_dsn(), redis_url, folder, spool_min_free_bytes=2**62) as service:
        answer = await service.http.post("/api/samples", content="m 1", headers=PROMETHEUS)
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
