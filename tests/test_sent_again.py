"""A request with an Idempotency-Key, sent again through the front door, counts once and answers the same."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis

from service.ingest.body import Format
from service.ingest.idempotency import Idempotency, digest_of
from tests.conftest import NewDsn
from tests.service import Json, Service, open_service
from workers import patience


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 30)  # a busy machine is no Redis that is away


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def send(service: Service, key: str, events: list[Json], **headers: str) -> httpx.Response:
    return await service.http.post("/api/events", json=events, headers={"Idempotency-Key": key, **headers})


async def views(service: Service, site: str) -> int:
    """As raw counts them: the millisecond keeps every rollup out. All that was accepted before is in."""
    await service.post([{"blog_id": "last", "site": f"{site}-last"}])
    answer = await service.ask("/api/analytics/top", site=site, start="1999-12-31T23:59:59.999Z")
    return sum(row["z"] for row in answer["results"])


def some(site: str, count: int = 3) -> list[Json]:
    return [{"blog_id": "a", "site": site} for _ in range(count)]


async def test_it_gets_the_first_answer(service: Service, site: str, key: str) -> None:
    events = [*some(site), {"site": site}, *some(site)]
    first = await send(service, key, events)
    again = await send(service, key, events)
    assert first.json() == {
        "accepted": 6,
        "duplicates": 0,
        "rejected": [{"index": 3, "field": "blog_id", "reason": "is required"}],
    }
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert not {"idempotency-replayed", "idempotency-kept"} & set(first.headers)
    assert await views(service, site) == 6


async def test_compressed_it_is_the_same_request(service: Service, site: str, key: str) -> None:
    body = json.dumps(some(site)).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    await service.http.post("/api/events", content=body, headers=headers)
    zipped = await service.http.post(
        "/api/events", content=gzip.compress(body), headers={**headers, "Content-Encoding": "gzip"}
    )
    assert zipped.headers["idempotency-replayed"] == "true"


async def test_many_at_once_count_once(service: Service, site: str, key: str) -> None:
    answers = await asyncio.gather(*(send(service, key, some(site)) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 409)
    assert {answer.json()["accepted"] for answer in answers if answer.status_code == 202} == {3}
    assert await views(service, site) == 3


@pytest.mark.parametrize("count", [3, 2_500])
async def test_what_a_killed_process_began_is_found_as_duplicates(
    service: Service, redis: Redis, site: str, key: str, count: int
) -> None:
    events = [{"site": site}, *some(site, count)]
    events[2] = {**events[2], "event_id": str(uuid4())}
    body = json.dumps(events).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first = await service.http.post("/api/events", content=body, headers=headers)
    assert (first.json()["accepted"], first.json()["duplicates"]) == (count, 0)
    # As if it had been killed before it could keep its answer: its mark has run out.
    await redis.delete(*await redis.keys("readership:idempotency:*"))
    again = await service.http.post("/api/events", content=body, headers=headers)
    assert (again.json()["accepted"], again.json()["duplicates"]) == (0, count)
    assert await views(service, site) == count


async def test_while_it_runs_409_says_when_to_come_back(service: Service, redis: Redis, site: str, key: str) -> None:
    body = json.dumps(some(site)).encode()
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    await Idempotency(redis).begin(key, await digest_of(Format.JSON, body))
    running = await service.http.post("/api/events", content=body, headers=headers)
    assert (running.status_code, running.headers["retry-after"]) == (409, "1")
    assert running.headers["content-type"] == "application/problem+json"
    assert await views(service, site) == 0


async def test_another_body_is_refused(service: Service, site: str, key: str) -> None:
    await send(service, key, some(site))
    other = await send(service, key, some(site, 4))
    assert other.status_code == 422
    assert other.json()["errors"] == [{"field": "Idempotency-Key", "message": "was used for another body"}]
    assert await views(service, site) == 3


@pytest.mark.parametrize(("body", "status"), [('{"blog_id": 1.5}', 422), ("[]", 422), ("{", 400)])
async def test_a_refusal_is_given_again(service: Service, key: str, body: str, status: int) -> None:
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    first, again = [await service.http.post("/api/events", content=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (status, status)
    assert first.content == again.content
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb", "\x7f"])
async def test_a_key_that_is_none_is_refused(service: Service, site: str, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    refused = await service.http.post("/api/events", json=some(site), headers=headers)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["x" * 255, '"8e03978e"', "a b", "*", "~:{}'"])
async def test_any_printable_key_will_do(service: Service, site: str, key: str) -> None:
    key = f"{site}{key}"[:255]
    assert [(await send(service, key, some(site))).status_code for _ in range(2)] == [202, 202]
    assert await views(service, site) == 3


async def test_two_keys_are_refused(service: Service, site: str) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await service.http.post("/api/events", json=some(site), headers=headers)).status_code == 422


async def test_without_redis_it_is_carried_out_and_counted_once(
    new_dsn: NewDsn, folder: Path, site: str, key: str
) -> None:
    async with open_service(new_dsn(), "redis://127.0.0.1:9/0", folder) as service:
        first, again = [await send(service, key, some(site)) for _ in range(2)]
        assert first.json()["accepted"] == 3
        # Nobody knows yet that these are the same; they are counted once.
        assert first.headers["readership-deduplication"] == again.headers["readership-deduplication"] == "local"
        assert first.headers["idempotency-kept"] == again.headers["idempotency-kept"] == "false"
        other = await send(service, key, some(site, 2))
        assert other.json()["accepted"] == 2, "one key for everything: nobody can refuse it, and nothing is lost"
        assert await views(service, site) == 5
