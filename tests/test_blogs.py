"""The registry of blogs and authors, and the labels from it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.service import Json, Service


async def test_upsert_one_and_many_and_list(service: Service, site: str) -> None:
    await service.put("/api/authors", {"author_id": "u1", "site": site, "username": "ada", "name": "Ada Lovelace"})
    await service.put("/api/authors/", [{"author_id": 2, "site": site, "username": "bob"}])
    await service.put(
        "/api/blogs",
        [
            {"blog_id": "b2", "site": site, "title": "Second", "created_at": "2025-01-02T03:04:05.678+02:00"},
            {"blog_id": "b1", "site": site, "title": "First", "author_id": "u1", "country": "et"},
        ],
    )
    authors = await service.ask("/api/authors", site=site)
    blogs = await service.ask("/api/blogs", site=site, page_size=1)
    assert [author["author_id"] for author in authors["results"]] == ["2", "u1"]
    assert (blogs["count"], blogs["results"][0]["blog_id"], blogs["results"][0]["country"]) == (2, "b1", "ET")
    second = (await service.http.get(blogs["next"])).json()["results"][0]
    assert second == {
        "site": site,
        "blog_id": "b2",
        "title": "Second",
        "author_id": "",
        "country": "",
        "created_at": "2025-01-02T01:04:05.678Z",
    }


async def test_field_left_out_keeps_its_value_and_null_empties_it(service: Service, site: str) -> None:
    first = {"blog_id": "b", "site": site, "title": "T", "author_id": "u", "created_at": "2025-01-01T00:00:00Z"}
    await service.put("/api/blogs", first)
    await service.put("/api/blogs", {"blog_id": "b", "site": site, "author_id": None})
    await service.put("/api/blogs", [{"blog_id": "b", "site": site}, {"blog_id": "b", "site": site, "country": "ET"}])
    kept = (await service.ask("/api/blogs", site=site))["results"]
    assert kept == [{**first, "author_id": "", "country": "ET"}]


async def test_labels_are_titles_and_names_with_fallbacks(service: Service, site: str) -> None:
    await service.put("/api/blogs", {"blog_id": "b1", "site": site, "title": "Hello"})
    await service.put(
        "/api/authors",
        [
            {"author_id": "u1", "site": site, "username": "ada", "name": "Ada"},
            {"author_id": "u2", "site": site, "username": "bob"},
        ],
    )
    events = [("b1", "u1"), ("b1", "u1"), ("b1", "u1"), ("b2", "u2"), ("b2", "u2"), ("b3", "u3"), ("b3", "")]
    await service.post([{"blog_id": blog, "author_id": author, "site": site} for blog, author in events])
    blogs = (await service.ask("/api/analytics/top", site=site))["results"]
    authors = (await service.ask("/api/analytics/top/user", site=site))["results"]
    assert [(row["x"], row["id"]) for row in blogs] == [("Hello", "b1"), ("b2", "b2"), ("b3", "b3")]
    assert [(row["x"], row["id"]) for row in authors] == [("Ada", "u1"), ("bob", "u2"), ("Unknown", ""), ("u3", "u3")]
    by_name = (await service.ask("/api/analytics/top", site=site, author_username="bob"))["results"]
    assert [row["id"] for row in by_name] == ["b2"]
    assert (await service.ask("/api/analytics/top", site=site, author_username="nobody"))["results"] == []


@pytest.mark.parametrize("path", ["/api/blogs", "/api/authors"])
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "{id}"),
        ([{}], "0.{id}"),
        ([], ""),
        ("text", ""),
        ({"{id}": ""}, "{id}"),
        ({"{id}": "x" * 129}, "{id}"),
        ({"{id}": True}, "{id}"),
        ({"{id}": "a", "site": ""}, "site"),
        ({"{id}": "a", "colour": "red"}, "colour"),
    ],
)
async def test_wrong_field_is_named(service: Service, path: str, body: Json, field: str) -> None:
    key = "blog_id" if path == "/api/blogs" else "author_id"

    def filled(value: object) -> object:
        if isinstance(value, dict):
            return {name.replace("{id}", key): one for name, one in value.items()}
        return [filled(one) for one in value] if isinstance(value, list) else value

    response = await service.http.put(path, json=filled(body))
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field.replace("{id}", key)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("country", "USA"), ("created_at", "2025-01-01T00:00:00"), ("created_at", "0001-01-01T00:00:00+14:00")],
)
async def test_wrong_blog_attribute_is_named(service: Service, name: str, value: str) -> None:
    response = await service.http.put("/api/blogs", json={"blog_id": "a", name: value})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, name)


async def test_thousands_of_long_ids_are_taken_and_named(service: Service, site: str) -> None:
    # A server refuses bound values over 128 kB: 1,000 ids of 128 letters, of two or three bytes each, are more.
    ids = [f"{number:04}{'ብ' * 124}" for number in range(1_000)]
    await service.put("/api/blogs", [{"blog_id": id_, "site": site, "title": f"T {id_[:4]}"} for id_ in ids])
    await service.post([{"blog_id": id_, "site": site} for id_ in ids])
    rows = (await service.ask("/api/analytics/blog-views/blog", site=site, page_size=1000))["results"]
    assert [row["x"] for row in rows] == [f"T {number:04}" for number in range(1_000)]


async def test_events_of_thousands_of_sites_share_a_request(service: Service, site: str) -> None:
    sites = [f"{number:05}.{site}.{'x' * 120}" for number in range(2_500)]
    events = [{"blog_id": "a", "site": one, "event_id": str(uuid4())} for one in sites]
    assert (await service.post(events))["accepted"] == 2_500
    assert (await service.post(events))["duplicates"] == 2_500


async def test_concurrent_changes_of_one_blog_keep_each_other(service: Service, site: str) -> None:
    changes = [{"title": "T"}, {"author_id": "u"}, {"country": "ET"}]
    await asyncio.gather(*(service.put("/api/blogs", {"blog_id": "b", "site": site, **one}) for one in changes))
    kept = (await service.ask("/api/blogs", site=site))["results"][0]
    assert (kept["title"], kept["author_id"], kept["country"]) == ("T", "u", "ET")


async def test_next_page_of_a_posted_question_leaves_out_what_was_null(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "site": site}, {"blog_id": "b", "site": site}])
    asked = {"site": site, "start": None, "page_size": 1}
    first = (await service.http.post("/api/analytics/top", json=asked)).json()
    assert (await service.http.get(first["next"])).json()["results"][0]["id"] == "b"


async def test_next_page_keeps_the_unknown_country(service: Service, site: str) -> None:
    await service.post([{"blog_id": "a", "site": site, "country": code} for code in ("ET", "ET", "", "US")])
    asked = {"site": site, "country_codes": ["ET", ""], "page_size": 1}
    first = (await service.http.post("/api/analytics/blog-views", json=asked)).json()
    assert [row["id"] for row in (await service.http.get(first["next"])).json()["results"]] == [""]
