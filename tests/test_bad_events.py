"""Bad input, named per event and per body, and the good events around it counted."""

from __future__ import annotations

import json
import time
import zlib

import pytest
import zstandard

from service.ingest.body import MAX_FRAMES
from service.ingest.items import MAX_ITEMS
from service.parameters import UNSOUND
from tests.compression import bare_deflate, gzipped, in_pieces
from tests.service import Json, Service

AT = "2025-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"blog_id": None}, "blog_id"),
        ({"blog_id": ""}, "blog_id"),
        ({"blog_id": "x" * 129}, "blog_id"),
        ({"blog_id": True}, "blog_id"),
        ({"blog_id": 1.5}, "blog_id"),
        ({"blog_id": ["a"]}, "blog_id"),
        ({"blog_id": "a\x00"}, "blog_id"),
        ({"blog_id": "a\x7f"}, "blog_id"),
        ({"blog_id": 10**400}, "blog_id"),
        ({"event_id": "no-uuid"}, "event_id"),
        ({"event_id": "0x" + "a" * 30}, "event_id"),
        ({"event_id": "+" + "a" * 31}, "event_id"),
        ({"event_id": "a_a_" + "a" * 28}, "event_id"),
        ({"event_id": "a" * 30 + "  "}, "event_id"),
        ({"event_id": " " + "a" * 32}, "event_id"),
        ({"event_id": "{01948a5e-0f3c-7d2a-9c11-5f3a6f0b7e21}"}, "event_id"),
        ({"event_id": "urn:uuid:01948a5e-0f3c-7d2a-9c11-5f3a6f0b7e21"}, "event_id"),
        ({"event_id": "01948a5e0-f3c-7d2a-9c11-5f3a6f0b7e21"}, "event_id"),
        ({"event_id": "01948a5e-0f3c-7d2a-9c11-5f3a6f0b7e-1"}, "event_id"),
        ({"event_id": "\u0660" * 32}, "event_id"),
        ({"event_id": 5}, "event_id"),
        ({"viewed_at": "2025-01-31"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00"}, "viewed_at"),
        ({"viewed_at": "yesterday"}, "viewed_at"),
        ({"viewed_at": "2025-W05-5T12:00:00Z"}, "viewed_at"),
        ({"viewed_at": "20250131T120000Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31x12:00:00Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00,5Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00.Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00+05"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00+0545"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00+05:45:30"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00.1234567x+05:45"}, "viewed_at"),
        ({"viewed_at": "2025-02-30T12:00:00Z"}, "viewed_at"),
        ({"viewed_at": " 2025-01-31T12:00:00Z"}, "viewed_at"),
        ({"viewed_at": "2025-01-31T12:00:00Z\n"}, "viewed_at"),
        ({"viewed_at": "1999-12-31T23:59:59.999Z"}, "viewed_at"),
        ({"viewed_at": 946684799999}, "viewed_at"),
        ({"viewed_at": "2999-01-01T00:00:00Z"}, "viewed_at"),
        ({"viewed_at": 10**30}, "viewed_at"),
        ({"site": ""}, "site"),
        ({"site": "x" * 254}, "site"),
        ({"site": "a\x7f"}, "site"),
        ({"site": 7}, "site"),
        ({"author_id": "x" * 129}, "author_id"),
        ({"country": "USA"}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"country": " ET"}, "country"),
        ({"country": " "}, "country"),
        ({"country": " " * 2**20 + "ET"}, "country"),
        ({"country": "ﬁ"}, "country"),
        ({"country": "ß"}, "country"),
        ({"viewer_id": ""}, "viewer_id"),
        ({"viewer_id": "x" * 129}, "viewer_id"),
        ({"url": "x" * 8_193}, "url"),
        ({"referrer": 1}, "referrer"),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_wrong_field_is_named_and_costs_no_other_event(
    service: Service, site: str, fields: Json, field: str
) -> None:
    good = {"blog_id": "a", "site": site}
    response = await service.http.post("/api/events", json=[good, {**good, **fields}, good])
    answer = response.json()
    assert (response.status_code, answer["accepted"]) == (202, 2)
    assert [(fault["index"], fault["field"]) for fault in answer["rejected"]] == [(1, field)]
    assert answer["rejected"][0]["reason"]
    alone = await service.http.post("/api/events", json={**good, **fields})
    assert alone.status_code == 422
    assert [error["field"] for error in alone.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "fields",
    [
        {"blog_id": 42},
        {"blog_id": "x" * 128},
        {"blog_id": "ብሎግ 📚"},
        {"viewed_at": 946684800000},
        {"viewed_at": "2025-01-31T12:00Z"},
        {"viewed_at": "2000-01-01T00:00:00Z"},
        {"viewed_at": "2025-01-31t12:00:00.123456+05:45"},
        {"viewed_at": "2025-01-31 12:00:00.1234567890z"},
        {"viewed_at": "2025-01-31T12:00:00-00:00"},
        {"event_id": "01948A5E0F3C7D2A9C115F3A6F0B7E21"},
        {"event_id": "01948a5e-0f3c-7d2a-9c11-5F3A6F0B7E21"},
        {"viewer_id": "x" * 128},
        {"viewed_at": int(time.time() * 1000) + 590_000},
        {
            "author_id": 7,
            "country": "et",
            "viewer_id": 9,
            "url": "/x?y=1",
            "referrer": "https://example.org/",
        },
        {
            "author_id": None,
            "country": None,
            "viewer_id": None,
            "url": None,
            "event_id": None,
            "viewed_at": None,
        },
        {"country": "", "author_id": ""},
        {"country": "XK"},
        {"country": "eT"},
        {"unknown": {"deep": [1, 2]}},
    ],
)
async def test_acceptable_fields(service: Service, site: str, fields: Json) -> None:
    assert (await service.post([{"blog_id": "a", "site": site, **fields}]))["accepted"] == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b'{"blog_id": NaN}', {}, 400),
        (b'{"blog_id": "\\ud800"}', {}, 422),
        (b'{"x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}", {}, 422),
        (b"\xff\xfe", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"one\ntwo", {"Content-Type": "application/x-ndjson"}, 400),
        (b"null", {}, 422),
        (b"[]", {}, 422),
        (b"[1]", {}, 422),
        (b"\n", {"Content-Type": "application/x-ndjson"}, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Encoding": "gzip, gzip"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        (b" " * (10 * 2**20 + 1), {}, 413),
        (gzipped(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "gzip"}, 413),
        (zlib.compress(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "deflate"}, 413),
        (bare_deflate(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "deflate"}, 413),
        (zstandard.compress(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "zstd"}, 413),
        # One piece too many: what stands in the last one is never read.
        (in_pieces(gzipped, MAX_FRAMES + 1)(b'{"blog_id": "a"}'), {"Content-Encoding": "gzip"}, 400),
        (in_pieces(zstandard.compress, MAX_FRAMES + 1)(b'{"blog_id": "a"}'), {"Content-Encoding": "zstd"}, 400),
        (gzipped(b"") * 500_000, {"Content-Encoding": "gzip"}, 400),
        (zstandard.compress(b"") * 1_000_000, {"Content-Encoding": "zstd"}, 400),
        (zlib.compress(b'{"blog_id": "a"}') + b"more", {"Content-Encoding": "deflate"}, 400),
        (b'{"blog_id": "a"}\n' * (MAX_ITEMS + 1), {"Content-Type": "application/x-ndjson"}, 413),
        (b"[" + b"1," * MAX_ITEMS + b"1]", {}, 413),
        (gzipped(b"[" + b"1," * 2_000_000 + b"1]"), {"Content-Encoding": "gzip"}, 413),
        (b'[{"blog_id": "a"}, tru]', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"}', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"},]', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"}] 1', {}, 400),
        (b'["\\ud800", ' + b"[" * 100_000, {}, 400),
        (b'["\\ud800"]', {}, 422),
        (b'[{"blog_id": "a"}, {"x": ' + b"[" * 3_000 + b"]" * 2_999 + b"}]", {}, 400),
        (b'[{"blog_id": "a"}' + b"," + b"[" * 2**20 + b"]" * 2**20 + b"]", {}, 400),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_bad_body_gets_its_status_and_a_problem(
    service: Service, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = await service.http.post(
        "/api/events", content=body, headers={"Content-Type": "application/json", **headers}
    )
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "errors"} <= problem.keys()


UNDECODABLE = [
    '{"blog_id": "\\ud800"}',
    '{"blog_id": "\\udc00 and more"}',
    '{"blog_id": 1e999}',
    '{"blog_id": "\udcff"}',  # sent as the byte FF
]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("bad", UNDECODABLE)
async def test_undecodable_item_costs_no_other(service: Service, site: str, kind: str, bad: str) -> None:
    good = json.dumps({"blog_id": "b\\ud800 ]📚", "site": site})
    body = "\n".join([good, bad, good]) if kind == "application/x-ndjson" else f" [{good} , {bad},{good}\n] "
    headers = {"Content-Type": kind}
    response = await service.http.post("/api/events", content=body.encode(errors="surrogateescape"), headers=headers)
    assert response.status_code == 202, response.text
    assert response.json()["accepted"] == 2
    assert [fault["index"] for fault in response.json()["rejected"]] == [1]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        ('{"blog_id": "h", "x": ' + "[" * 2_000 + '"]}\\"["' + "]" * 2_000 + "}", "", "is nested too deeply"),
        ('{"a":' * 2_000 + "1" + "}" * 2_000, "", "is nested too deeply"),
        ('{"blog_id": "\\ud800"}', "blog_id", UNSOUND),
        ('{"blog_id": "a", "url": "\\uD83D\\ude00 \\uDC00"}', "url", UNSOUND),
        ('{"blog_id": "a", "x": {"y": ["\\udfff"]}}', "", UNSOUND),
        ('{"blog_id": "a", "\\udfff": 1}', "", UNSOUND),
        ('"\\udfff"', "", "must be a JSON object"),
    ],
    ids=["lists", "objects", "id", "url", "unknown", "name", "text"],
)
async def test_what_no_decoder_takes_is_named(
    service: Service, site: str, kind: str, bad: str, field: str, reason: str
) -> None:
    good = json.dumps({"blog_id": "b", "site": site})
    body = "\n".join([good, bad, good]) if kind == "application/x-ndjson" else f" [{good} , {bad} ,{good}] "
    response = await service.http.post("/api/events", content=body, headers={"Content-Type": kind})
    assert response.status_code == 202, response.text
    assert response.json()["accepted"] == 2
    assert response.json()["rejected"] == [{"index": 1, "field": field, "reason": reason}]


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_byte_order_mark_is_passed_over(service: Service, site: str, kind: str) -> None:
    body = json.dumps({"blog_id": "a", "site": site}).encode("utf-8-sig")
    response = await service.http.post("/api/events", content=body, headers={"Content-Type": kind})
    assert (response.status_code, response.json()["accepted"]) == (202, 1)


async def test_faults_of_a_large_request_keep_their_index(service: Service, site: str) -> None:
    events: list[Json] = [{"blog_id": "a", "site": site, "viewed_at": AT} for _ in range(2_500)]
    for index in (0, 999, 1_000, 2_400):
        events[index] = {"site": site}
    for index in (1_001, 2_300):
        events[index]["event_id"] = "01948a5e-0f3c-7d2a-9c11-5f3a6f0b7e21"
    answer = (await service.http.post("/api/events", json=events)).json()
    assert [fault["index"] for fault in answer["rejected"]] == [0, 999, 1_000, 2_400]
    assert (answer["accepted"], answer["duplicates"]) == (2_495, 1)


async def test_only_the_first_hundred_faults_stand_under_errors(service: Service, site: str) -> None:
    response = await service.http.post("/api/events", json=[{"site": site}] * 101)
    problem = response.json()
    assert response.status_code == 422
    assert (len(problem["errors"]), len(problem["rejected"])) == (100, 101)
    assert "101" in problem["detail"]
    assert "first 100" in problem["detail"]


async def test_bad_lines_are_told_by_their_number(service: Service, site: str) -> None:
    good = json.dumps({"blog_id": "a", "site": site})
    body = f'{good}\n\nnot json\n{good}\n{{"site": "{site}"}}\n'
    headers = {"Content-Type": "application/x-ndjson"}
    answer = (await service.http.post("/api/events", content=body, headers=headers)).json()
    assert answer["accepted"] == 2
    assert [(fault["index"], fault["field"]) for fault in answer["rejected"]] == [(1, ""), (3, "blog_id")]
