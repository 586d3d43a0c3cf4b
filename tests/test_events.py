"""Ingestion through the front door: what is accepted, filled in, counted once, and refused by name."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import zstandard
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.rollups import GRAINS
from clickhouse.statement import Statement
from service.events.body import MAX_FRAMES
from service.events.items import MAX_EVENTS
from tests.conftest import NewDsn
from tests.service import Json, Service, open_service

AT = "2025-01-31T12:00:00Z"


async def views(service: Service, site: str) -> int:
    """Views of the site as raw counts them: the millisecond keeps every rollup out."""
    answer = await service.ask("/api/analytics/top", site=site, start="1999-12-31T23:59:59.999Z")
    return sum(row["z"] for row in answer["results"])


async def test_object_array_and_lines_are_accepted(service: Service, site: str) -> None:
    event = {"blog_id": "a", "site": site, "viewed_at": AT}
    lines = "\n".join(json.dumps(event) for _ in range(3)) + "\n\n"
    ndjson = {"Content-Type": "application/x-ndjson"}
    assert (await service.http.post("/api/events", json=event)).json()["accepted"] == 1
    assert (await service.http.post("/api/events/", json=[event, event])).json()["accepted"] == 2
    assert (await service.http.post("/api/events", content=lines, headers=ndjson)).json()["accepted"] == 3
    assert await views(service, site) == 6


def in_pieces(compress: Callable[[bytes], bytes], pieces: int) -> Callable[[bytes], bytes]:
    return lambda body: compress(body[:9]) + compress(b"") * (pieces - 2) + compress(body[9:])


def bare_deflate(body: bytes) -> bytes:
    return zlib.compress(body, wbits=-15)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("gzip", in_pieces(gzip.compress, 2)),
        ("gzip", in_pieces(gzip.compress, MAX_FRAMES)),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("zstd", zstandard.compress),
        ("zstd", in_pieces(zstandard.compress, MAX_FRAMES)),
    ],
)
async def test_compressed_bodies_are_accepted(
    service: Service, site: str, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = compress(json.dumps({"blog_id": "a", "site": site}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert (await service.http.post("/api/events", content=body, headers=headers)).status_code == 202
    broken = await service.http.post("/api/events", content=body[:-4], headers=headers)
    assert broken.status_code == 400
    assert await views(service, site) == 1


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, bare_deflate, zstandard.compress])
async def test_large_compressed_body_arrives_whole(
    service: Service, site: str, compress: Callable[[bytes], bytes]
) -> None:
    encoding = {gzip.compress: "gzip", zstandard.compress: "zstd"}.get(compress, "deflate")
    events = [{"blog_id": uuid4().hex, "site": site, "viewed_at": AT} for _ in range(2_000)]
    body = compress(json.dumps(events).encode())
    assert len(body) > 2**15
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert (await service.http.post("/api/events", content=body, headers=headers)).json()["accepted"] == 2_000
    assert (await service.http.post("/api/events", content=body[:-4], headers=headers)).status_code == 400


async def test_every_rollup_equals_raw(fresh_engine: tuple[Service, Engine], site: str) -> None:
    service, engine = fresh_engine
    times = [
        "2024-12-31T23:59:59.999Z",
        "2025-01-01T00:00:00Z",
        "2024-02-29T12:00:00Z",
        "2026-01-01T01:00:00+01:00",
    ]
    await service.post(
        [
            {
                "blog_id": blog,
                "author_id": author,
                "country": country,
                "site": site,
                "viewed_at": at,
                "viewer_id": at,
            }
            for at in times
            for blog, author in (("b1", "u1"), ("b2", "u1"), ("b3", ""))
            for country in ("ET", "US", "")
        ]
    )
    raw = f"SELECT count(), uniqExact(blog_id), uniqExact(viewer) FROM view_events WHERE site = '{site}'"
    expected = tuple((await engine.select(Statement(raw)))[0])
    for grain in GRAINS:
        rows = await engine.select(
            Statement(
                f"SELECT toString(dimension_set), sum(views), uniqMerge(blogs), uniqCombined64Merge(14)(viewers)"
                f" FROM {grain.table} WHERE site = '{site}' GROUP BY dimension_set"
            )
        )
        found = {name: numbers for name, *numbers in rows}
        assert set(found) == {"total", "country", "author", "country_author", "author_blog"}
        assert all(numbers[0] == expected[0] for numbers in found.values()), grain.name
        # A distinct count of 1 everywhere is what the alias trap looks like.
        assert {found[name][1] for name in found if name != "author_blog"} == {expected[1]}, grain.name
        assert {found[name][2] for name in found if name != "country_author"} == {expected[2]}, grain.name


@pytest.fixture
async def fresh_engine(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[tuple[Service, Engine]]:
    """The service on a database of its own, and a second way into that database."""
    dsn = new_dsn()
    async with open_service(dsn, redis_url, folder) as service:
        engine = await open_engine(Dsn.parse(dsn))
        yield service, engine
        await engine.close()


async def test_same_event_id_is_counted_once(service: Service, site: str) -> None:
    event = {"blog_id": "a", "site": site, "event_id": str(uuid4()), "viewed_at": AT}
    assert await service.post([event, event]) == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert await service.post([event]) == {"accepted": 0, "duplicates": 1, "rejected": []}
    # A retry without viewed_at gets another time, and is the same event all the same.
    late = {"blog_id": "a", "site": site, "event_id": str(uuid4())}
    assert (await service.post([late]))["accepted"] == 1
    assert (await service.post([late]))["duplicates"] == 1
    # Another site's events are other events.
    assert (await service.post([{**event, "site": f"{site}-2"}]))["accepted"] == 1
    assert await views(service, site) == 2


async def test_same_event_id_in_concurrent_requests_is_counted_once(service: Service, site: str) -> None:
    event = {"blog_id": "a", "site": site, "event_id": str(uuid4())}
    answers = await asyncio.gather(*(service.post([event]) for _ in range(20)))
    assert sum(answer["accepted"] for answer in answers) == 1
    assert sum(answer["duplicates"] for answer in answers) == 19
    assert await views(service, site) == 1


async def test_equal_events_without_id_are_all_counted(service: Service, site: str) -> None:
    event = {"blog_id": "a", "site": site, "viewed_at": AT, "viewer_id": "v"}
    for _ in range(3):
        await service.post([event, event])
    assert await views(service, site) == 6


async def test_many_given_ids_in_one_request(service: Service, site: str) -> None:
    events = [
        {"blog_id": "a", "site": site, "event_id": str(uuid4()), "viewed_at": 1738324800000 + number}
        for number in range(6_000)
    ]
    assert (await service.post(events))["accepted"] == 6_000
    assert (await service.post(events))["duplicates"] == 6_000


async def test_author_comes_from_the_registry_when_absent(service: Service, site: str) -> None:
    await service.put("/api/blogs", {"blog_id": "a", "site": site, "author_id": "ada"})
    await service.post([{"blog_id": "a", "site": site}, {"blog_id": "a", "site": site, "author_id": "bob"}])
    answer = await service.ask("/api/analytics/blog-views", site=site, group_by="user")
    assert {row["id"]: row["z"] for row in answer["results"]} == {"ada": 1, "bob": 1}


async def test_country_comes_from_the_proxy_then_from_geoip(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, site: str
) -> None:
    database = MMDBWriter(database_type="GeoLite2-Country")
    database.insert_network(IPSet(["127.0.0.0/8"]), {"country": {"iso_code": "IN"}})
    database.to_db_file(str(tmp_path / "countries.mmdb"))
    settings = {"country_header": "CF-IPCountry", "geoip_database": tmp_path / "countries.mmdb"}
    async with open_service(new_dsn(), redis_url, tmp_path, **settings) as service:
        for header in ("ET", "T1", "et", ""):
            body = [{"blog_id": "a", "site": site}, {"blog_id": "a", "site": site, "country": "US"}]
            await service.http.post("/api/events", json=body, headers={"CF-IPCountry": header})
        answer = await service.ask("/api/analytics/blog-views", site=site)
        assert {row["id"]: row["z"] for row in answer["results"]} == {"US": 4, "ET": 2, "IN": 2}


async def test_unnamed_viewer_is_one_person_per_address_agent_and_site(
    fresh_engine: tuple[Service, Engine], site: str
) -> None:
    service, engine = fresh_engine

    async def viewer(address: str, agent: str, site: str) -> int:
        async with from_address(service, address) as http:
            event = {"blog_id": uuid4().hex, "site": site}
            assert (await http.post("/api/events", json=event, headers={"User-Agent": agent})).status_code == 202
        rows = await engine.select(
            Statement(f"SELECT toString(viewer) FROM view_events WHERE blog_id = '{event['blog_id']}'")
        )
        return int(rows[0][0])

    someone = await viewer("192.0.2.1", "one", site)
    assert await viewer("192.0.2.1", "one", site) == someone
    others = [("192.0.2.2", "one", site), ("192.0.2.1", "two", site), ("192.0.2.1", "one", f"{site}-2")]
    assert len({someone, *[await viewer(*other) for other in others]}) == 4


def from_address(service: Service, address: str) -> httpx.AsyncClient:
    """Another client of the same application, that connects from this address."""
    transport = service.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(transport.app, client=(address, 1234)), base_url=service.http.base_url
    )


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
        (b'{"blog_id": "\\ud800"}', {}, 400),
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
        (gzip.compress(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "gzip"}, 413),
        (zlib.compress(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "deflate"}, 413),
        (bare_deflate(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "deflate"}, 413),
        (zstandard.compress(b" " * (64 * 2**20 + 1)), {"Content-Encoding": "zstd"}, 413),
        # One piece too many: what stands in the last one is never read.
        (in_pieces(gzip.compress, MAX_FRAMES + 1)(b'{"blog_id": "a"}'), {"Content-Encoding": "gzip"}, 400),
        (in_pieces(zstandard.compress, MAX_FRAMES + 1)(b'{"blog_id": "a"}'), {"Content-Encoding": "zstd"}, 400),
        (gzip.compress(b"") * 500_000, {"Content-Encoding": "gzip"}, 400),
        (zstandard.compress(b"") * 1_000_000, {"Content-Encoding": "zstd"}, 400),
        (zlib.compress(b'{"blog_id": "a"}') + b"more", {"Content-Encoding": "deflate"}, 400),
        (b'{"blog_id": "a"}\n' * (MAX_EVENTS + 1), {"Content-Type": "application/x-ndjson"}, 413),
        (b"[" + b"1," * MAX_EVENTS + b"1]", {}, 413),
        (gzip.compress(b"[" + b"1," * 2_000_000 + b"1]"), {"Content-Encoding": "gzip"}, 413),
        (b'[{"blog_id": "a"}, tru]', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"}', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"},]', {}, 400),
        (b'[{"blog_id": "\\ud800"}, {"blog_id": "a"}] 1', {}, 400),
        (b'["\\ud800", ' + b"[" * 100_000, {}, 400),
        (b'["\\ud800"]', {}, 400),
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
