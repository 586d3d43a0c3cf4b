"""DELETE of a blog, a viewer, a site through the front door: gone for every question, while others are counted on."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote
from uuid import uuid4

import pytest

from clickhouse.drift import drift, everything
from clickhouse.rollups import VIEWS
from tests.oracle import Site
from tests.service import Json, Service
from workers.jobs.job import ENDED

INTERVALS = ("hour", "day", "week", "month", "year")


async def finished(service: Service, answer: Json) -> Json:
    """The job that an answer speaks of, when it is done."""
    deadline = time.monotonic() + 120
    while (job := await service.ask(answer["status_url"]))["status"] not in ENDED:
        assert time.monotonic() < deadline, job
        await asyncio.sleep(0.05)
    assert job["status"] == "done", job["error"]
    return job


async def delete(service: Service, path: str, **parameters: str) -> Json:
    response = await service.http.delete(path, params=parameters)
    assert response.status_code == 202, response.text
    return await finished(service, response.json())


def some(site: str, blog: str, count: int = 12, **more: object) -> list[Json]:
    """From January to April."""
    return [
        {
            "event_id": str(uuid4()),
            "site": site,
            "blog_id": blog,
            "viewed_at": f"2021-0{1 + at % 4}-1{at % 9}T0{at % 10}:0{at % 6}:00Z",
            "viewer_id": f"v{at % 3}",
            **more,
        }
        for at in range(count)
    ]


async def views(service: Service, site: str) -> dict[str, int]:
    rows = (await service.ask("/api/analytics/blog-views/blog", site=site))["results"]
    return {row["id"]: row["z"] for row in rows}


async def assert_answers(service: Service, site: str, told: Site) -> None:
    for interval in INTERVALS:
        answer = await service.ask("/api/analytics/performance", site=site, compare=interval, page_size=1000)
        rows = [{name: row[name] for name in ("period", "blogs", "y")} for row in answer["results"]]
        assert (
            rows[:1000]
            == [
                {name: row[name] for name in ("period", "blogs", "y")}
                for row in told.performance({"compare": interval})
            ][:1000]
        ), interval
    for group in ("country", "user", "blog"):
        answer = await service.ask(f"/api/analytics/blog-views/{group}", site=site)
        assert answer["results"] == told.blog_views({"group_by": group}), group


async def test_others_are_counted_on_and_no_reader_sees_less_of_them(fresh_service: Service, site: str) -> None:
    service, told, other = fresh_service, Site(), f"{site}-other"
    kept = some(site, "kept")
    await service.put("/api/blogs", [{"blog_id": blog, "site": site, "title": blog.upper()} for blog in ("a", "kept")])
    await service.post([*some(site, "a", 40), *kept, *some(other, "a")])
    told.put_blogs([{"blog_id": "kept", "title": "KEPT"}])
    told.post(kept)
    done = asyncio.Event()

    async def write() -> None:
        while not done.is_set():
            more = some(site, "kept", 5, country="ET")
            await service.post(more)
            told.post(more)

    async def read() -> int:
        looks, seen = 0, (0, 0)
        while not done.is_set():
            now = (await views(service, site))["kept"], (await views(service, other))["a"]
            assert now[0] >= seen[0]
            assert now[1] >= seen[1]
            looks, seen = looks + 1, now
        return looks

    async def deleted() -> None:
        await delete(service, "/api/blogs/a", site=site)
        done.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        reading = tasks.create_task(read())
        tasks.create_task(deleted())
    assert reading.result() > 1
    await assert_answers(service, site, told)
    assert await views(service, other) == {"a": 12}
    engine = service.app.state.readership.engine
    assert await drift(engine, VIEWS, await everything(engine, VIEWS)) == []
    assert [row["blog_id"] for row in (await service.ask("/api/blogs", site=site))["results"]] == ["kept"]
    again = await service.http.delete("/api/blogs/a", params={"site": site})
    assert (again.status_code, again.headers["content-type"]) == (404, "application/problem+json")


async def test_what_still_waits_goes_too_and_may_be_sent_again(service: Service, site: str) -> None:
    events = [*some(site, "a"), *some(site, "b", 3)]
    accepted = await service.http.post("/api/events", json=events)
    assert accepted.json()["accepted"] == 15
    await delete(service, "/api/blogs/a", site=site)
    await service.post(some(f"{site}-last", "last", 1))
    assert await views(service, site) == {"b": 3}
    again = await service.post(events)
    assert (again["accepted"], again["duplicates"]) == (12, 3)
    assert await views(service, site) == {"a": 12, "b": 3}


async def test_a_viewer_is_deleted_of_one_site_alone_and_as_often_as_one_likes(service: Service, site: str) -> None:
    told, other = Site(), f"{site}-other"
    events = some(site, "a")
    await service.post([*events, *some(other, "a")])
    told.post([event for event in events if event["viewer_id"] != "v1"])
    for _ in range(2):
        await delete(service, "/api/viewers/v1", site=site)
        await assert_answers(service, site, told)
    assert await views(service, other) == {"a": 12}


async def test_a_site_is_emptied_and_filled_again(service: Service, site: str) -> None:
    events, other = some(site, "a", author_id="ada"), f"{site}-other"

    async def fill(site: str, events: list[Json]) -> None:
        await service.put("/api/blogs", {"blog_id": "a", "site": site, "title": "A"})
        await service.put("/api/authors", {"author_id": "ada", "site": site, "name": "Ada"})
        assert (await service.post(events))["duplicates"] == 0

    await fill(site, events)
    await fill(other, some(other, "a"))
    await delete(service, f"/api/sites/{site}")
    for path in ("/api/blogs", "/api/authors", "/api/analytics/top", "/api/analytics/performance"):
        assert (await service.ask(path, site=site))["count"] == 0
        assert (await service.ask(path, site=other))["count"] > 0
    await fill(site, events)
    row = (await service.ask("/api/analytics/blog-views/user", site=site))["results"][0]
    assert (row["x"], row["y"], row["z"]) == ("Ada", 1, 12)


@pytest.mark.parametrize("blog", ["a/b", "a/", "/", "//a", "è ?&#%2F+", "5"])
async def test_any_id_is_one_blog(service: Service, site: str, blog: str) -> None:
    others = ["a", "b", "a%2Fb", "è"]
    await service.put("/api/blogs", [{"blog_id": one, "site": site} for one in (blog, *others)])
    for path in (f"/api/blogs/{quote(blog, safe='')}/", f"/api/blogs/{quote(blog, safe='')}"):
        answer = await service.http.delete(path, params={"site": site})
        assert answer.status_code == (202 if path.endswith("/") else 404)
    left = (await service.ask("/api/blogs", site=site))["results"]
    assert sorted(row["blog_id"] for row in left) == sorted(others)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/api/blogs/{'x' * 129}", "blog_id"),
        ("/api/viewers/a%01", "viewer_id"),
        (f"/api/sites/{'x' * 254}", "site"),
        ("/api/blogs/a?site=", "site"),
        ("/api/viewers/a?colour=red", "colour"),
        ("/api/viewers/a?site=a&site=b", "site"),
    ],
)
async def test_wrong_parameter_is_named(service: Service, path: str, field: str) -> None:
    refused = await service.http.delete(path)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
