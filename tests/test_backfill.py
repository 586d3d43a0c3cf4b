"""Backfills by HTTP: what was spoilt is right again, over whole partitions, and nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.partitions import Partition, partition_of
from clickhouse.rollups import GRAINS
from clickhouse.statement import Statement
from service.state import State
from tests.conftest import NewDsn
from tests.damage import events, lose, parts, store
from tests.oracle_calendar import instant
from tests.oracle_rollups import rollup_in, rollup_of
from tests.service import Json, Service, open_service

STORED = events(240)
BY_NAME = {grain.name: grain for grain in GRAINS}
ENDED = {"done", "failed", "cancelled"}


def state_of(service: Service) -> State:
    state: State = service.app.state.readership
    return state


def engine_of(service: Service) -> Engine:
    return state_of(service).engine


@pytest.fixture(scope="module")
async def filled(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    """One for the tests that leave it as they found it."""
    async with open_service(new_dsn(), redis_url, folder) as service:
        await store(engine_of(service), STORED)
        yield service


async def begin(service: Service, **asked: Any) -> str:
    response = await service.http.post("/api/backfills", json=asked)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert answer["status_url"] == f"/api/backfills/{answer['id']}"
    id_: str = answer["id"]
    return id_


async def until(service: Service, id_: str, ready: Callable[[Json], bool] = lambda job: job["status"] in ENDED) -> Json:
    async with asyncio.timeout(120):
        while True:
            job = await service.ask(f"/api/backfills/{id_}")
            if ready(job):
                return job
            await asyncio.sleep(0.05)


async def backfill(service: Service, **asked: Any) -> Json:
    job = await until(service, await begin(service, **asked))
    assert job["status"] == "done", job
    return job


async def spoil(service: Service, name: str, day: str) -> Partition:
    """The partition of a day's bucket loses all it has but that bucket, of which the views are lost."""
    partition = partition_of(BY_NAME[name], instant(f"{day}T00:00:00Z"))
    await lose(engine_of(service), partition, "dimension_set = 'total'")
    return partition


async def assert_right(service: Service, stored: Sequence[Event] = STORED) -> None:
    for grain in GRAINS:
        assert await rollup_in(engine_of(service), grain.name) == rollup_of(grain.name, stored), grain.name
    tables = await engine_of(service).select(
        Statement("SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'rebuild_views%'")
    )
    assert tables == [], "staging was left behind"


@pytest.mark.parametrize("source", ["raw", "rollup"])
async def test_all_granularities_are_made_again(filled: Service, source: str) -> None:
    for grain in GRAINS:
        await spoil(filled, grain.name, "2020-06-30")
    job = await backfill(filled, **{"granularity": "all", "from": source})
    await assert_right(filled)
    assert [group["name"] for group in job["progress"]] == ["attribute", "hour", "day", "week", "month", "year"]
    assert all(group["status"] == "done" and group["eta_seconds"] == 0 for group in job["progress"])
    assert (job["units_done"], job["error"]) == (job["units"], None)
    assert job["rows_done"] > 0
    assert job["finished_at"] >= job["started_at"] >= job["requested_at"]


async def test_a_range_is_widened_to_whole_partitions_and_no_further(filled: Service) -> None:
    await spoil(filled, "month", "2020-01-20")
    # One part a partition: nothing merges, and whoever replaces one is seen.
    await engine_of(filled).execute(Statement("OPTIMIZE TABLE views_by_month FINAL"))
    before = await parts(engine_of(filled))
    job = await backfill(filled, granularity="month", start="2020-01-15", end="2020-01-31")
    await assert_right(filled)
    assert [step["name"] for step in job["steps"]] == ["attribute", "views_by_month[2020]"]
    after = await parts(engine_of(filled))
    touched = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert {key for key in touched if key[0] == "views_by_month"} == {("views_by_month", "2020")}


async def test_hours_bring_the_finer_grains_that_feed_them(filled: Service) -> None:
    await spoil(filled, "quarter_hour", "2021-01-03")
    job = await backfill(filled, granularity="hour", start="2021-01-01T00:00:00Z", end="2021-01-05T06:00:00+06:00")
    await assert_right(filled)
    tables = [f"views_by_{name}[2021]" for name in ("quarter_hour", "hour", "six_hours")]
    assert [step["name"] for step in job["steps"]] == ["attribute", *tables]


async def test_a_week_at_new_year_belongs_to_the_year_of_its_monday(filled: Service) -> None:
    job = await backfill(filled, granularity="week", start="2020-01-01", end="2020-01-01", clear=True)
    assert [step["name"] for step in job["steps"]] == ["attribute", "views_by_week[2019]"]
    assert job["parameters"] == {
        "granularity": "week",
        "start": "2020-01-01T00:00:00Z",
        "end": "2020-01-02T00:00:00Z",
        "clear": True,
        "from": "raw",
    }


async def test_a_dry_run_tells_what_would_be_done_and_does_nothing(filled: Service) -> None:
    listed = (await filled.ask("/api/backfills"))["count"]
    response = await filled.http.post("/api/backfills", json={"granularity": "month", "dry_run": True})
    assert response.status_code == 200
    first, *others = response.json()["partitions"]
    assert first == {
        "granularity": "month",
        "table": "views_by_month",
        "partition": "2019",
        "source": "raw",
        "first_bucket": "2019-12-01T00:00:00Z",
        "last_bucket": "2019-12-01T00:00:00Z",
        "buckets": 1,
        "rows": sum(event.viewed_at < instant("2020-01-01T00:00:00Z") for event in STORED),
    }
    assert [(one["partition"], one["buckets"]) for one in others] == [("2020", 12), ("2021", 1)]
    assert response.json()["rows"] == len(STORED)
    hours = await filled.http.post("/api/backfills", json={"granularity": "hour", "end": "2019-12-31", "dry_run": True})
    assert [(one["table"], one["buckets"]) for one in hours.json()["partitions"]] == [
        ("views_by_quarter_hour", 192),
        ("views_by_hour", 48),
        ("views_by_six_hours", 8),
    ]
    assert (await filled.ask("/api/backfills"))["count"] == listed


@pytest.mark.parametrize(
    ("asked", "field", "reason"),
    [
        ({"granularity": "second"}, "granularity", "'minute', 'hour', 'day', 'week', 'month', 'year' or 'all'"),
        ({"granularity": "minute"}, "granularity", "views have no minutes"),
        ({"start": "2025-02-30"}, "start", "must be a date like"),
        ({"end": "yesterday"}, "end", "must be a date like"),
        ({"start": "2025-01-02", "end": "2025-01-01"}, "start", "must be before end"),
        ({"start": "2099-01-01"}, "start", "must not lie ahead"),
        ({"start": "1969-01-01"}, "start", "must lie between"),
        ({"start": "2022-01-01"}, "start", "no event in this range"),
        ({"end": "2018-01-01"}, "end", "no event in this range; they are from 2019-12-30T"),
        ({"granularity": "day", "from": "rollup"}, "from", "must be raw"),
        ({"from": "thin air"}, "from", "'raw' or 'rollup'"),
        ({"upto": "2025-01-01"}, "upto", "unknown parameter"),
    ],
)
async def test_what_cannot_be_is_named_and_nothing_is_begun(
    filled: Service, asked: dict[str, str], field: str, reason: str
) -> None:
    listed = (await filled.ask("/api/jobs"))["count"]
    response = await filled.http.post("/api/backfills", json=asked)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert reason in response.json()["errors"][0]["message"]
    assert (await filled.ask("/api/jobs"))["count"] == listed


async def test_without_any_event_there_is_nothing_to_do(fresh_service: Service) -> None:
    response = await fresh_service.http.post("/api/backfills", json={})
    assert response.status_code == 422
    assert "no event has been stored yet" in response.json()["detail"]


async def test_jobs_are_listed_and_found_by_their_kind(filled: Service) -> None:
    ids = [(await backfill(filled, granularity="day", end=day))["id"] for day in ("2020-01-01", "2020-01-02")]
    page = await filled.ask("/api/backfills", page_size=1)
    assert [job["id"] for job in page["results"]] == ids[1:]
    assert page["next"]
    assert (await filled.ask("/api/jobs", kind="backfill"))["count"] == page["count"]
    assert (await filled.ask("/api/jobs", kind="deletion"))["count"] == 0
    assert (await filled.ask(f"/api/jobs/{ids[0]}"))["steps"][0]["status"] == "done"
    for path in ("/api/jobs/none", "/api/backfills/none"):
        assert (await filled.http.get(path)).status_code == 404
        assert (await filled.http.delete(path)).status_code == 404
    assert (await filled.http.delete(f"/api/backfills/{ids[0]}")).status_code == 409
