"""Ingestion through the front door: what is accepted, filled in and counted once."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import zstandard
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.rollups import GRAINS, MEASURES
from clickhouse.statement import Statement
from service.ingest.body import MAX_FRAMES
from tests.compression import Compress, bare_deflate, in_pieces
from tests.conftest import NewDsn
from tests.service import Service, open_service

AT = "2025-01-31T12:00:00Z"


async def views(service: Service, site: str) -> int:
    """Views of the site as raw counts them: the millisecond keeps every rollup out."""
    answer = await service.ask("/api/analytics/top", site=site, start="1999-12-31T23:59:59.999Z")
    return sum(row["z"] for row in answer["results"])


async def test_object_array_and_lines_are_accepted(service: Service, site: str) -> None:
    event = {"blog_id": "a", "site": site, "viewed_at": AT}
    lines = "\n".join(json.dumps(event) for _ in range(3)) + "\n\n"
    ndjson = {"Content-Type": "application/x-ndjson"}
    assert (await service.http.post("/api/events?wait=stored", json=event)).json()["accepted"] == 1
    assert (await service.http.post("/api/events/?wait=stored", json=[event, event])).json()["accepted"] == 2
    assert (await service.http.post("/api/events?wait=stored", content=lines, headers=ndjson)).json()["accepted"] == 3
    assert await views(service, site) == 6


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
async def test_compressed_bodies_are_accepted(service: Service, site: str, encoding: str, compress: Compress) -> None:
    body = compress(json.dumps({"blog_id": "a", "site": site}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    assert (await service.http.post("/api/events?wait=stored", content=body, headers=headers)).status_code == 202
    broken = await service.http.post("/api/events?wait=stored", content=body[:-4], headers=headers)
    assert broken.status_code == 400
    assert await views(service, site) == 1


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, bare_deflate, zstandard.compress])
async def test_large_compressed_body_arrives_whole(service: Service, site: str, compress: Compress) -> None:
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
    expected = dict(zip(("views", "blogs", "viewers"), (await engine.select(Statement(raw)))[0], strict=True))
    for grain in GRAINS:
        measures = [measure for measure in MEASURES if grain.name in measure.grains]
        numbers = ", ".join(measure.read.format(measure.name) for measure in measures)
        rows = await engine.select(
            Statement(
                f"SELECT toString(dimension_set), {numbers} FROM {grain.table}"
                f" WHERE site = '{site}' GROUP BY dimension_set"
            )
        )
        found = {name: dict(zip((measure.name for measure in measures), row, strict=True)) for name, *row in rows}
        assert found.keys() == {one.name for one in grain.dimension_sets}
        for measure in measures:
            # A distinct count of 1 everywhere is what the alias trap looks like.
            held = {name: row[measure.name] for name, row in found.items() if name in measure.carried_by}
            assert held == dict.fromkeys(held, expected[measure.name]), (grain.name, measure.name)


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


async def test_the_site_in_the_address_is_that_of_events_that_name_none(service: Service, site: str) -> None:
    own = f"{site}-own"
    body = [{"blog_id": "a", "viewed_at": AT}, {"blog_id": "b", "viewed_at": AT, "site": own}]
    at = f"/api/events?wait=stored&site={site}"
    assert (await service.http.post(at, json=body)).json()["accepted"] == 2
    assert (await views(service, site), await views(service, own)) == (1, 1)
    key = {"Idempotency-Key": uuid4().hex}
    assert (await service.http.post(at, json=body[0], headers=key)).status_code == 202
    other = await service.http.post("/api/events", json=body[0], headers=key)
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("query", "field"), [("wait=stored&bogus=1", "bogus"), ("site=a&site=b", "site"), ("site=", "site")]
)
@pytest.mark.parametrize("path", ["/api/events", "/api/samples"])
async def test_a_wrong_parameter_is_named_and_nothing_is_taken(
    service: Service, path: str, query: str, field: str
) -> None:
    body = {"blog_id": "a", "metric": "m", "value": 1}
    answer = await service.http.post(f"{path}?{query}", json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


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
            await service.http.post("/api/events?wait=stored", json=body, headers={"CF-IPCountry": header})
        answer = await service.ask("/api/analytics/blog-views", site=site)
        assert {row["id"]: row["z"] for row in answer["results"]} == {"US": 4, "ET": 2, "IN": 2}


async def test_unnamed_viewer_is_one_person_per_address_agent_and_site(
    fresh_engine: tuple[Service, Engine], site: str
) -> None:
    service, engine = fresh_engine

    async def viewer(address: str, agent: str, site: str) -> int:
        async with from_address(service, address) as http:
            event = {"blog_id": uuid4().hex, "site": site}
            sent = await http.post("/api/events?wait=stored", json=event, headers={"User-Agent": agent})
            assert sent.status_code == 202
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
