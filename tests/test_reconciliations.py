"""Reconciling by HTTP, from the command line and by schedule: what is wrong is told, repaired, and told to be right."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from clickhouse.engine import Engine
from clickhouse.partitions import partition_of
from clickhouse.rollups import GRAINS
from service.state import State
from tests.conftest import NewDsn
from tests.damage import add, events, lose, store
from tests.oracle_calendar import DAY
from tests.oracle_rollups import SETS, rollup_in, rollup_of
from tests.process import ServiceProcess
from tests.service import Json, Service, open_service
from tests.test_metrics import scrape

STORED = events(120)
AT = STORED[0].viewed_at
DAYS, YEARS = GRAINS[3], GRAINS[-1]
DEADLINE = 90.0
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
async def filled(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    async with open_service(new_dsn(), redis_url, folder) as service:
        await store(engine_of(service), STORED)
        yield service


def engine_of(service: Service) -> Engine:
    state: State = service.app.state.readership
    return state.engine


async def ended(service: Service, begun: httpx.Response) -> Json:
    assert begun.status_code == 202, begun.text
    async with asyncio.timeout(DEADLINE):
        while True:
            job = await service.ask(begun.json()["status_url"])
            if job["status"] in ("done", "failed", "cancelled"):
                assert job["status"] == "done", job["error"]
                return job
            await asyncio.sleep(0.1)


async def reconciled(service: Service, **asked: Any) -> list[Json]:
    """How all partitions stand afterwards."""
    await ended(service, await service.http.post("/api/reconciliations", json=asked))
    page = await service.ask("/api/reconciliations", page_size=100)
    assert page["count"] == len(page["results"])
    return list(page["results"])


async def drifts(service: Service) -> dict[str, tuple[Any, ...]]:
    names = ("drift", "drift_buckets", "distinct_drift", "duplicates")
    return {row["table"]: tuple(row[name] for name in names) for row in (await service.ask("/api/rollups"))["results"]}


async def test_a_reconcile_tells_what_is_wrong_and_a_repair_heals_it(filled: Service) -> None:
    engine = engine_of(filled)
    assert set((await drifts(filled)).values()) == {(None, None, None, None)}

    rows = await reconciled(filled)
    assert all(row["equal"] for row in rows)
    years = [row for row in rows if row["table"] == YEARS.table]
    assert sum(row["found"] for row in years) == sum(row["expected"] for row in years) == len(STORED)

    lost, spoilt = partition_of(DAYS, AT), partition_of(YEARS, AT + 40 * DAY)
    await lose(engine, lost, "1")
    state = "(site, bucket, blogs) SELECT 's', toDateTime('2020-01-01 00:00:00', 'UTC'), groupBitmapState(toUInt32(99))"
    await add(engine, spoilt, state)
    await store(engine, [STORED[1]])
    there = sum(partition_of(DAYS, one.viewed_at) == lost for one in STORED)

    wrong = [row for row in await reconciled(filled) if not row["equal"]]
    told = {(row["table"], row["partition"]): (row["drift"], row["distinct_drift"], row["duplicates"]) for row in wrong}
    assert told.pop(("view_events", f"{datetime.fromtimestamp(STORED[1].viewed_at / 1000, UTC):%Y%m}")) == (0, 0, 1)
    views, states, _ = told.pop((DAYS.table, lost.id))
    assert told.pop((YEARS.table, spoilt.id)) == (0, 1, 0)
    assert (views, states > 0) == (there * len(SETS["day"]), True)
    assert told == {}
    metrics = await scrape(filled)
    assert metrics[f'readership_drift_views{{table="{DAYS.table}"}}'] == views
    assert metrics[f'readership_drift_buckets{{table="{YEARS.table}"}}'] == 1
    assert metrics["readership_raw_duplicate_events"] == 1
    assert (await drifts(filled))["view_events"][3] == 1

    healed = await reconciled(filled, repair=True)
    assert [row["table"] for row in healed if not row["equal"]] == ["view_events"]
    for grain in GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, [*STORED, STORED[1]])
    shown = {row["table"]: row for row in (await filled.ask("/api/rollups"))["results"]}
    assert shown[DAYS.table]["drift"] == 0
    assert shown[DAYS.table]["last_rebuild"] is not None
    assert shown["views_by_hour"]["last_rebuild"] is None
    assert shown["views_by_hour"]["last_reconcile"] is not None


async def test_a_range_is_compared_alone_and_what_is_asked_twice_is_done_once(filled: Service) -> None:
    asked = {"start": "2020-02-29", "end": "2020-02-29"}
    first, second = [await filled.http.post("/api/reconciliations", json=asked) for _ in range(2)]
    job = await ended(filled, first)
    assert second.json()["id"] == job["id"] or (await ended(filled, second))["parameters"] == job["parameters"]
    assert job["parameters"] == {"start": "2020-02-29T00:00:00Z", "end": "2020-03-01T00:00:00Z", "repair": False}
    rows = {row["table"]: row for row in (await filled.ask("/api/reconciliations"))["results"]}
    assert set(rows) == {"view_events", *(grain.table for grain in GRAINS)}
    leap_day = sum(one.viewed_at // DAY == 18_321 for one in STORED)
    assert leap_day == rows["views_by_day"]["found"] == rows["views_by_quarter_hour"]["found"]
    page = await filled.ask("/api/reconciliations", page_size=3)
    assert (len(page["results"]), page["next"] is not None) == (3, True)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"start": "2020-02-30"}, "start"),
        ({"start": "2020-03-02", "end": "2020-03-01"}, "start"),
        ({"end": "yesterday"}, "end"),
        ({"repair": "perhaps"}, "repair"),
        ({"fix": True}, "fix"),
    ],
)
async def test_what_cannot_be_asked_is_named(service: Service, sent: Json, field: str) -> None:
    answer = await service.http.post("/api/reconciliations", json=sent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_schedule_is_run_by_hand(filled: Service) -> None:
    before = {row["name"]: row for row in (await filled.ask("/api/schedule"))["results"]}
    assert list(before) == ["hourly", "daily", "weekly", "monthly", "yearly", "retention", "compaction"]
    assert all(row["last_run"] is None and row["next_run"] > row["next_period"]["start"] for row in before.values())
    job = await ended(filled, await filled.http.post("/api/schedule/yearly"))
    yearly = next(row for row in (await filled.ask("/api/schedule"))["results"] if row["name"] == "yearly")
    assert (yearly["job"], yearly["outcome"]) == (job["id"], "done")
    assert yearly["last_period"]["end"] == yearly["next_period"]["start"]
    unknown = await filled.http.post("/api/schedule/nightly")
    assert (unknown.status_code, "hourly, daily" in unknown.json()["detail"]) == (404, True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("reconcile") / "data") as service:
        yield service


def test_the_command_line_shows_a_table_and_one_last_line(served: ServiceProcess) -> None:
    nothing = served.cli("reconcile")
    assert (nothing.returncode, nothing.stdout) == (0, "equal: there is nothing to compare\n")
    assert served.cli("populate", "--blog-views", "200", "--days", "20").returncode == 0
    done = served.cli("reconcile", "--repair")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "equal")
    assert all(f"views_by_{name}" in done.stdout for name in SETS)
    answer = json.loads(served.cli("reconcile", "--json").stdout)
    assert answer["equal"]
    assert sum(row["found"] for row in answer["results"] if row["table"] == "view_events") == 200
    begun = served.cli("reconcile", "--no-wait")
    assert (begun.returncode, begun.stdout.startswith("reconcile-")) == (0, True)


def test_the_command_line_shows_the_schedule_and_runs_it(served: ServiceProcess) -> None:
    done = served.cli("schedule", "run", "daily")
    assert (done.returncode, done.stdout.startswith("daily done: reconcile-")) == (0, True)
    shown = json.loads(served.cli("schedule", "--json").stdout)
    assert next(row for row in shown["results"] if row["name"] == "daily")["outcome"] == "done"
    table = served.cli("schedule").stdout
    assert all(row["name"] in table and row["when"] in table for row in shown["results"])
    assert max(map(len, served.cli("stats").stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("reconcile", "--start", "2025-02-01", "--end", "2025-01-01"), 2, "--start: must be before end"),
        (("reconcile", "--end", "soon"), 2, "--end: must be a date"),
        (("schedule", "run", "nightly"), 2, "there is no schedule nightly, but hourly,"),
    ],
)
def test_wrong_usage_is_one_line(served: ServiceProcess, arguments: tuple[str, ...], status: int, words: str) -> None:
    done = served.cli(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


# In a process of its own: one process opens one folder.
_DAMAGE = """
import asyncio, sys
from clickhouse.engine import Dsn, open_engine
from clickhouse.statement import Statement

async def damage():
    engine = await open_engine(Dsn.parse(f"chdb://{sys.argv[1]}/clickhouse"))
    year, views = (await engine.select(Statement(
        "SELECT toYear(max(bucket)), sum(views) FROM views_by_day WHERE dimension_set = 'total' AND toYear(bucket) ="
        " (SELECT toYear(max(bucket)) FROM views_by_day)")))[0]
    await engine.execute(Statement(f"ALTER TABLE views_by_day DROP PARTITION ID '{year}'"))
    await engine.close()
    print(views)

asyncio.run(damage())
"""


def test_drift_that_is_left_ends_with_status_1_and_a_repair_with_0(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        assert service.cli("populate", "--blog-views", "100", "--days", "20").returncode == 0
        assert service.stop() == 0
        damage = [sys.executable, "-c", _DAMAGE, str(tmp_path / "data")]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        lost = int(subprocess.run(damage, capture_output=True, check=True, text=True, env=environment).stdout)
        service.start()
        told = service.cli("reconcile")
        assert told.returncode == 1
        assert told.stdout.splitlines()[-1].startswith(f"not equal: {lost * len(SETS['day']):,} views, ")
        repaired = service.cli("reconcile", "--repair")
        assert (repaired.returncode, repaired.stdout.splitlines()[-1].startswith("equal, ")) == (0, True)
        assert service.cli("reconcile").stdout.splitlines()[-1] == "equal"
