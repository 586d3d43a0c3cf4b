"""The same question twice costs one computation, and nobody sees an answer that a change has made untrue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clickhouse.events import Event
from service import clock
from service.analytics import answers, cache
from tests.conftest import NewDsn
from tests.service import Json, Service, open_service
from workers import patience, versions
from workers.queue import open_queue
from workers.versions import ALL_SITES, LATE, stale_sites

TOP = "/api/analytics/top"
PAST: Json = {"year": 2025}
OLD = "2025-03-01T12:00:00Z"


class Clock:
    """The service's time: it stands still until the test moves it."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def now(self, _zone: object) -> datetime:
        return self.time

    def ahead(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Computations:
    """How often a ranking was computed; while `gate` is closed none comes to its end."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, *arguments: Any) -> answers.Answer:
        self.count += 1
        answer = await _BY_GROUP(*arguments)
        self.begun.set()
        await self.gate.wait()
        return answer


_BY_GROUP = answers.by_group


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fixed = Clock()
    monkeypatch.setattr(clock, "datetime", fixed)
    monkeypatch.setattr(patience, "PATIENCE", 30)  # a busy machine is no Redis that is away
    monkeypatch.setattr(cache, "OPEN_SECONDS", 60)
    return fixed


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Computations:
    counting = Computations()
    monkeypatch.setattr(answers, "by_group", counting)
    return counting


@pytest.fixture(scope="module")
async def service(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    async with open_service(new_dsn(), redis_url, folder, cache_ttl_seconds=900) as service:
        yield service


async def views(service: Service, site: str, **parameters: Any) -> list[tuple[str, int]]:
    answer = await service.ask(TOP, site=site, **parameters)
    return [(row["x"], row["z"]) for row in answer["results"]]


async def test_the_same_question_is_computed_once_by_get_and_post(
    service: Service, site: str, time: Clock, computed: Computations
) -> None:
    await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
    asked: Json = {"site": site, **PAST}
    first = await service.http.get(TOP, params=asked)
    time.ahead(899)
    again = await service.http.get(f"{TOP}/", params=asked)
    posted = await service.http.post(TOP, json=asked)
    assert first.content == again.content == posted.content
    assert computed.count == 1
    time.ahead(1)
    later = await service.ask(TOP, **asked)
    assert computed.count == 2
    assert later["results"] == first.json()["results"]
    assert later["meta"]["as_of"] > first.json()["meta"]["as_of"]


@pytest.mark.parametrize(
    "changed",
    [
        {"site": "another"},
        {"page": 2},
        {"page_size": 2},
        {"timezone": "Asia/Kathmandu"},
        {"country_codes": "ET"},
        {"top": "country"},
        {"limit": 3},
        {"limit": 10},  # as by default, but it stands in `next`
        {"distinct": "exact"},
        {"year": 2024},
        {"explain": "true"},
    ],
    ids=str,
)
async def test_another_question_has_an_answer_of_its_own(
    service: Service, site: str, computed: Computations, changed: Json
) -> None:
    for known in (site, "another"):
        await service.post([{"blog_id": blog, "site": known, "viewed_at": OLD} for blog in "ab"])
    asked: Json = {"site": site, "page_size": 1, **PAST}
    await service.ask(TOP, **asked)
    before = computed.count
    response = await service.http.get(TOP, params=asked | changed)
    assert (response.status_code, computed.count) == (200, before + 1)


async def test_another_host_gets_addresses_of_its_own(service: Service, site: str) -> None:
    await service.post([{"blog_id": blog, "site": site, "viewed_at": OLD} for blog in "ab"])
    for host in ("one.test", "two.test"):
        response = await service.http.get(f"http://{host}{TOP}", params={"site": site, "page_size": 1, **PAST})
        assert response.json()["next"].startswith(f"http://{host}/")


async def test_explain_is_always_computed(service: Service, site: str, computed: Computations) -> None:
    for _ in range(2):
        response = await service.http.get(TOP, params={"site": site, "explain": "true", **PAST})
        assert response.headers["cache-control"] == "private, no-cache"
    assert computed.count == 2


async def test_an_event_into_the_past_is_seen_at_once(service: Service, site: str) -> None:
    for count in (1, 2, 3):
        await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
        assert await views(service, site, **PAST) == [("a", count)]


async def test_an_answer_from_before_an_insert_is_not_served_after_it(
    service: Service, site: str, computed: Computations
) -> None:
    computed.gate.clear()
    slow = asyncio.create_task(views(service, site, **PAST))
    await computed.begun.wait()
    await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
    quick = asyncio.create_task(views(service, site, **PAST))
    computed.gate.set()
    assert [await slow, await quick] == [[], [("a", 1)]]
    assert await views(service, site, **PAST) == [("a", 1)]


async def test_a_title_is_seen_at_once(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "author_id": "u", "site": site, "viewed_at": OLD}])
    for name in ("One", "Two"):
        await service.put("/api/blogs", {"blog_id": "a", "site": site, "title": name})
        await service.put("/api/authors", {"author_id": "u", "site": site, "name": name})
        for range_ in (PAST, Json()):
            assert await views(service, site, **range_) == [(name, 1)]
            assert await views(service, site, top="user", **range_) == [(name, 1)]


async def test_a_live_event_is_seen_within_the_seconds_of_an_open_range(
    service: Service, site: str, time: Clock
) -> None:
    ranges: list[Json] = [{}, {"start": "2025-01-01"}]
    for range_ in ranges:
        await service.ask(TOP, site=site, **range_)
    await service.post([{"blog_id": "a", "site": site}])
    assert [await views(service, site, **range_) for range_ in ranges] == [[], []]
    time.ahead(60)
    assert [await views(service, site, **range_) for range_ in ranges] == [[("a", 1)], [("a", 1)]]


async def test_a_page_past_the_end_is_not_kept(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "site": site}])
    second: Json = {"site": site, "page": 2, "page_size": 1}
    assert (await service.http.get(TOP, params=second)).status_code == 404
    await service.post([{"blog_id": "b", "site": site}])
    assert (await service.http.get(TOP, params=second)).status_code == 200


async def test_headers_say_what_is_left(service: Service, site: str, time: Clock) -> None:
    now = time.time

    async def control(**range_: Any) -> str:
        response = await service.http.get(TOP, params={"site": site, **range_})
        return str(response.headers["cache-control"])

    closed: list[Json] = [PAST, {"end": (now - timedelta(minutes=15, seconds=1)).isoformat()}]
    assert [await control(**range_) for range_ in closed] == ["private, max-age=900"] * 2
    opened: list[Json] = [{}, {"range": "day"}, {"year": now.year}, {"end": (now - timedelta(minutes=14)).isoformat()}]
    assert [await control(**range_) for range_ in opened] == ["private, max-age=60"] * 4
    time.ahead(10.5)
    assert [await control(**range_) for range_ in (PAST, {})] == ["private, max-age=889", "private, max-age=49"]
    posted = await service.http.post(TOP, json={"site": site, **PAST})
    assert posted.headers["cache-control"] == "no-store"
    assert "etag" not in posted.headers


async def test_who_has_the_answer_gets_304(service: Service, site: str, time: Clock) -> None:
    await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
    asked: Json = {"site": site, **PAST}
    tag = (await service.http.get(TOP, params=asked)).headers["etag"]
    assert tag.startswith('W/"')

    async def status(named: str) -> int:
        response = await service.http.get(TOP, params=asked, headers={"If-None-Match": named})
        assert response.headers["etag"].startswith('W/"')
        assert "max-age=" in response.headers["cache-control"]
        assert (response.status_code == 304) == (not response.content)
        return response.status_code

    same = [tag, tag.removeprefix("W/"), f'"other", {tag}', f'W/"a,b",{tag} ,"c"', "*", " * "]
    assert [await status(named) for named in same] == [304] * len(same)
    other = ['"other"', 'W/"other", "*"', tag.strip('W/"'), "", tag[:-1]]
    assert [await status(named) for named in other] == [200] * len(other)
    time.ahead(1000)
    assert await status(tag) == 304, "computed again, but saying the same"
    await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
    assert await status(tag) == 200


async def test_who_hangs_up_takes_the_answer_from_nobody(service: Service, site: str, computed: Computations) -> None:
    await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
    computed.gate.clear()
    asking = [asyncio.create_task(views(service, site, **PAST)) for _ in range(5)]
    await computed.begun.wait()
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    computed.gate.set()
    assert await asyncio.gather(*asking[1:]) == [[("a", 1)]] * 4
    assert computed.count == 1


async def test_nothing_is_kept_for_0_seconds(
    new_dsn: NewDsn, redis_url: str, folder: Path, site: str, computed: Computations
) -> None:
    async with open_service(new_dsn(), redis_url, folder, cache_ttl_seconds=0) as service:
        for _ in range(2):
            response = await service.http.get(TOP, params={"site": site, **PAST})
            assert response.headers["cache-control"] == "private, no-cache"
        assert computed.count == 2
        headers = {"If-None-Match": response.headers["etag"]}
        assert (await service.http.get(TOP, params={"site": site, **PAST}, headers=headers)).status_code == 304


async def test_without_redis_answers_are_right_and_uncached(
    new_dsn: NewDsn,
    tmp_path: Path,
    site: str,
    computed: Computations,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(patience, "PAUSE", 0)
    url = f"unix://{tmp_path / 'valkey' / 'valkey.sock'}"
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(AsyncExitStack())
        await redis.enter_async_context(open_queue(None, tmp_path / "valkey"))
        service = await stack.enter_async_context(open_service(new_dsn(), url, tmp_path, cache_ttl_seconds=900))
        await service.post([{"blog_id": "a", "site": site, "viewed_at": OLD}])
        assert await views(service, site, **PAST) == await views(service, site, **PAST) == [("a", 1)]
        assert computed.count == 1
        await redis.aclose()

        with caplog.at_level(logging.WARNING, "workers.patience"):
            await service.put("/api/blogs", {"blog_id": "a", "site": site, "title": "New"})
            for _ in range(3):
                response = await service.http.get(TOP, params={"site": site, **PAST})
                assert response.json()["results"][0]["x"] == "New"
                assert response.headers["cache-control"] == "private, no-cache"
        # Whoever else asks Redis meanwhile has a line of its own.
        assert len([record for record in caplog.records if "answers are not cached" in record.message]) == 1
        assert computed.count == 4
        ready = await service.http.get("/readyz")
        assert [error["field"] for error in ready.json()["errors"]] == ["redis"]

        # It comes back with the old answer; the bump it missed reaches it first.
        await redis.enter_async_context(open_queue(None, tmp_path / "valkey"))
        assert await views(service, site, **PAST) == await views(service, site, **PAST) == [("New", 1)]
        assert computed.count == 5


async def test_after_a_failure_redis_is_left_alone_for_a_while(tmp_path: Path) -> None:
    asked = 0

    class Away:
        async def mget(self, _keys: object) -> None:
            nonlocal asked
            asked += 1
            raise ConnectionRefusedError

    kept = versions.Versions(Away())  # type: ignore[arg-type]
    assert [await kept.find("s", "k") for _ in range(5)] == [None] * 5
    assert asked == 1


@pytest.mark.parametrize(
    ("ages", "sites"),
    [
        ([], []),
        ([("a", 0), ("b", LATE)], []),
        ([("a", -LATE)], []),  # a client's clock may be ahead
        ([("a", 0), ("b", LATE + 1), ("c", 10**12), ("b", 0)], ["b", "c"]),
        (None, [ALL_SITES]),
    ],
    ids=str,
)
def test_sites_whose_past_a_batch_changes(ages: list[tuple[str, int]] | None, sites: list[str]) -> None:
    now = 1_800_000_000_000

    def event(site: str, age: int) -> Event:
        return Event(b"", site, "b", "u", "", 0, now - age, now, "", "")

    events = None if ages is None else [event(*one) for one in ages]
    assert sorted(stale_sites(events, now)) == sites
