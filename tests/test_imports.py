"""The ledger of imports over HTTP: begun once, continued by the last who asks, counted in raw."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from clickhouse.events import Event
from tests.service import Json, Service
from workers.spool.records import Record
from workers.writing import WRITING_EVENTS

FILE: Json = {"file_name": "views.csv", "format": "csv", "size": 9}


def file(site: str, digest: str = "a" * 64, **changed: Any) -> Json:
    return {**FILE, "site": site, "digest": digest, **changed}


async def begin(service: Service, body: Json) -> Json:
    response = await service.http.post("/api/imports", json=body)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def tell(service: Service, id_: int, expected: int = 200, **told: Any) -> Json:
    response = await service.http.patch(f"/api/imports/{id_}", json=told)
    assert response.status_code == expected, response.text
    found: Json = response.json()
    return found


async def send(service: Service, id_: int, events: list[Json], expected: int = 202) -> Json:
    headers = {"Readership-Import": str(id_)}
    response = await service.http.post("/api/events?wait=stored", json=events, headers=headers)
    assert response.status_code == expected, response.text
    found: Json = response.json()
    return found


async def test_the_same_file_is_the_same_import_and_who_began_it_first_may_tell_nothing_more(
    service: Service, site: str
) -> None:
    first = await begin(service, file(site))
    assert (first["run"], first["status"], first["position"]) == (1, "running", 0)
    await tell(service, first["id"], run=1, position=7, offset=9, skipped={"blank": 2})
    second = await begin(service, file(site, file_name="moved.csv"))
    assert (second["id"], second["run"], second["position"]) == (first["id"], 2, 7)
    assert second["skipped"] == {"blank": 2}
    assert "another process" in (await tell(service, first["id"], 409, run=1, position=8))["detail"]
    assert (await tell(service, first["id"], run=2, position=8))["position"] == 8


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "b" * 64},
        {"site": "elsewhere.example"},
        {"format": "parquet"},
        {"options": {"columns": {"blog_id": "page"}}},
    ],
)
async def test_another_file_site_or_way_to_read_it_is_another_import(service: Service, site: str, other: Json) -> None:
    first = await begin(service, file(site))
    assert (await begin(service, file(site) | other))["id"] != first["id"]


async def test_what_is_accepted_is_counted_in_raw_when_the_import_is_done(service: Service, site: str) -> None:
    events = [
        {"blog_id": "a", "site": site, "event_id": str(uuid4()), "viewed_at": 1_700_000_000_000 + n} for n in range(5)
    ]
    await service.post(events[:1])
    id_ = (await begin(service, file(site)))["id"]
    await send(service, id_, events[:3])
    await send(service, id_, events)  # as after a kill: three were sent before
    done = await tell(service, id_, run=1, status="done", lines=6, events=5, accepted=3, rejected=0)
    assert (done["accepted"], done["duplicates"]) == (4, 1)
    assert (await send(service, id_, events, 409))["detail"] == f"import {id_} is done"
    again = await begin(service, file(site))
    assert (again["id"], again["run"], again["status"]) == (id_, 1, "done")
    await tell(service, id_, 409, run=1, position=1)


async def test_imports_are_listed_newest_first(service: Service, site: str) -> None:
    ids = [(await begin(service, file(site, digit * 64)))["id"] for digit in "123"]
    page = await service.ask("/api/imports", site=site, page_size=2)
    assert (page["count"], [one["id"] for one in page["results"]]) == (3, ids[:0:-1])
    rest = (await service.http.get(page["next"])).json()
    assert [one["id"] for one in rest["results"]] == ids[:1]
    assert (await service.ask(f"/api/imports/{ids[0]}"))["digest"] == "1" * 64


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"digest": "x"}, "digest"),
        ({"format": "xlsx"}, "format"),
        ({"size": -1}, "size"),
        ({"size": 2**80}, "size"),
        ({"file_name": ""}, "file_name"),
        ({"site": "\x00"}, "site"),
        ({"options": {"delimiter": ";;"}}, "options.delimiter"),
        ({"options": {"speed": 9}}, "options.speed"),
    ],
)
async def test_a_wrong_file_is_refused_by_the_name_of_the_field(
    service: Service, site: str, changed: Json, field: str
) -> None:
    response = await service.http.post("/api/imports", json=file(site) | changed)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("number", ["0", "-1", "x", "4294967296", "", "1.0"])
async def test_an_import_is_named_by_a_number(service: Service, number: str) -> None:
    response = await service.http.post("/api/events", json={"blog_id": "a"}, headers={"Readership-Import": number})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "Readership-Import")


async def test_no_such_import_is_404(service: Service) -> None:
    headers = {"Readership-Import": "4294967295"}
    assert (await service.http.post("/api/events", json={"blog_id": "a"}, headers=headers)).status_code == 404
    assert (await service.http.get("/api/imports/4294967295")).status_code == 404
    await tell(service, 4294967295, 404, run=1)


def test_a_record_of_the_spool_from_before_imports_is_still_read() -> None:
    event = Event(b"\1" * 16, "s", "b", "u", "ET", 7, 8, 9, "", "", 3)
    assert WRITING_EVENTS.unpack(Record(0, 1, 9, WRITING_EVENTS.pack([event], [0]))) == ([event], [0])
    old = msgspec.msgpack.encode((1, [tuple(event)[:10]], [0]))
    assert WRITING_EVENTS.unpack(Record(0, 1, 9, old)) == ([event._replace(import_id=0)], [0])


async def test_an_undone_import_is_gone_what_others_sent_stays_and_the_file_may_come_again(
    fresh_service: Service, site: str
) -> None:
    mine, other = (
        [
            {"blog_id": blog, "site": site, "event_id": str(uuid4()), "viewed_at": 1_700_000_000_000 + n}
            for n in range(4)
        ]
        for blog in ("mine", "other")
    )
    id_ = (await begin(fresh_service, file(site)))["id"]
    await send(fresh_service, id_, mine)
    await tell(fresh_service, id_, run=1, status="done", events=4)
    await fresh_service.post(other)
    await undo(fresh_service, id_)
    assert await views(fresh_service, site) == {"other": 4}
    again = await begin(fresh_service, file(site))
    assert (again["id"] > id_, again["status"]) == (True, "running")
    answer = await send(fresh_service, again["id"], mine)
    assert (answer["accepted"], answer["duplicates"]) == (4, 0)
    assert await views(fresh_service, site) == {"mine": 4, "other": 4}


async def test_an_import_undone_while_it_runs_takes_no_more(fresh_service: Service, site: str) -> None:
    id_ = (await begin(fresh_service, file(site)))["id"]
    events = [{"blog_id": "a", "site": site, "event_id": str(uuid4()), "viewed_at": 1_700_000_000_000}]
    await send(fresh_service, id_, events)
    await undo(fresh_service, id_)
    assert (await send(fresh_service, id_, events, 409))["detail"] == f"import {id_} is undone"
    await tell(fresh_service, id_, 409, run=1, status="done")
    assert await views(fresh_service, site) == {}


async def undo(service: Service, id_: int) -> None:
    response = await service.http.delete(f"/api/imports/{id_}")
    assert response.status_code == 202, response.text
    async with asyncio.timeout(60):
        while (await service.ask(f"/api/imports/{id_}"))["status"] != "undone":  # noqa: ASYNC110  # HTTP has no event
            await asyncio.sleep(0.05)


async def views(service: Service, site: str) -> dict[str, int]:
    rows = (await service.ask("/api/analytics/blog-views/blog", site=site))["results"]
    return {row["id"]: row["z"] for row in rows}
