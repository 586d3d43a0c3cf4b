"""`readership refresh` and what it asks of POST /api/backfills: a level made again after those it is made from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from clickhouse.partitions import partition_of
from clickhouse.rollups import OF_SAMPLES, SAMPLE_GRAINS, grain_called
from clickhouse.statement import Statement
from tests.damage import lose, parts
from tests.oracle_calendar import DAY
from tests.process import ServiceProcess
from tests.sample_series import rollup_in, rollup_of, samples, store
from tests.service import Service
from tests.test_backfill import backfill, engine_of

STORED = samples(150)
JANUARY = 1_736_899_200_000  # 2025-01-15
ASKED = {"dataset": "samples", "with_sources": True, "start": "2025-01-10", "end": "2025-01-20"}


async def test_a_refreshed_range_is_right_again_and_nothing_else_is_touched(fresh_service: Service) -> None:
    engine = engine_of(fresh_service)
    await store(engine, STORED)
    hours, days, weeks = (grain_called(OF_SAMPLES, name) for name in ("hour", "day", "week"))
    # In the range, and two that are none of this refresh's business: another year, another level.
    await lose(engine, partition_of(hours, JANUARY), f"bucket >= toDateTime({JANUARY // 1000}, 'UTC')")
    await lose(engine, partition_of(days, JANUARY), "dimension_set = 'series'")
    await lose(engine, partition_of(days, JANUARY - 40 * DAY), "dimension_set = 'metric'")
    await lose(engine, partition_of(weeks, JANUARY), "dimension_set = 'metric'")
    for grain in SAMPLE_GRAINS:
        await engine.execute(Statement(f"OPTIMIZE TABLE {grain.table} FINAL"))
    before = {grain.name: await rollup_in(engine, grain.name) for grain in SAMPLE_GRAINS}
    blocks = await parts(engine)

    job = await backfill(fresh_service, granularity="day", **ASKED)
    assert [(step["name"], step["stage"]) for step in job["steps"]] == [
        ("samples_by_hour[2025]", 1),
        ("samples_by_day[2025]", 2),
    ]
    after = await parts(engine)
    touched = {key for key in blocks.keys() | after.keys() if blocks.get(key) != after.get(key)}
    assert touched == {("samples_by_hour", "2025"), ("samples_by_day", "2025")}
    for grain in SAMPLE_GRAINS:
        found, expected = await rollup_in(engine, grain.name), rollup_of(grain.name, STORED)
        made = {key for key in expected if grain.name in ("hour", "day") and key[4] >= "2025"}
        assert {key: found.get(key) for key in made} == {key: expected[key] for key in made}, grain.name
        others = {key: one for key, one in found.items() if key not in made}
        assert others == {key: one for key, one in before[grain.name].items() if key not in made}, grain.name
    outside = {key: one for key, one in before["hour"].items() if not "2025-01-15" <= key[4] <= "2025-12"}
    assert outside == {key: one for key, one in (await rollup_in(engine, "hour")).items() if key in outside}


@pytest.mark.parametrize(
    ("dataset", "level", "tables"),
    [
        ("samples", "minute", ["samples_by_minute"]),
        ("samples", "week", ["samples_by_hour", "samples_by_day", "samples_by_week"]),
        ("samples", "year", ["samples_by_hour", "samples_by_day", "samples_by_month", "samples_by_year"]),
        ("views", "hour", ["views_by_quarter_hour", "views_by_hour", "views_by_six_hours"]),
        ("views", "month", ["views_by_day", "views_by_month"]),
    ],
)
async def test_what_a_level_is_made_from_comes_before_it(
    service: Service, site: str, dataset: str, level: str, tables: list[str]
) -> None:
    about = {"blog_id": "a", "viewed_at": JANUARY} if dataset == "views" else {"metric": "m", "at": JANUARY, "value": 1}
    path = "/api/events" if dataset == "views" else "/api/samples"
    assert (await service.http.post(path, params={"wait": "stored"}, json={**about, "site": site})).status_code == 202
    asked = {**ASKED, "dataset": dataset, "granularity": level, "dry_run": True}
    plan = (await service.http.post("/api/backfills", json=asked)).json()
    assert [one["table"] for one in plan["partitions"]] == tables
    assert all(one["rows"] >= 1 for one in plan["partitions"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("refresh") / "data") as service:
        sent = [{"metric": "m", "value": hour, "at": JANUARY + hour * 3_600_000} for hour in range(48)]
        httpx.post(f"{service.url}/api/samples?wait=stored", json=sent, timeout=60).raise_for_status()
        yield service


def jobs(service: ServiceProcess) -> int:
    return int(httpx.get(f"{service.url}/api/backfills", timeout=60).json()["count"])


def test_without_execute_it_shows_what_would_be_done_and_does_nothing(served: ServiceProcess) -> None:
    before = jobs(served)
    done = served.cli("refresh", "1d", "--start", "2025-01-15")
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("samples_by_hour") < done.stdout.index("samples_by_day")
    assert done.stdout.splitlines()[-2:] == [
        "2 partitions would be made again from about 144 rows",
        "nothing was done; --execute does it",
    ]
    assert jobs(served) == before


def test_every_level_by_each_of_its_names_is_executed(served: ServiceProcess) -> None:
    for level, partitions in (("1m", 1), ("minute", 1), ("1h", 1), ("1d", 2), ("1w", 3), ("1mo", 3), ("1y", 4)):
        done = served.cli("refresh", level, "--execute", "--json")
        assert done.returncode == 0, done.stderr
        job = json.loads(done.stdout)
        assert (job["status"], job["units_done"]) == ("done", partitions)
    shown = served.cli("refresh", "1d", "--execute")
    assert shown.stdout.startswith("done in ")
    assert "2 of 2 partitions, 144 rows read" in shown.stdout  # 48 samples, and 48 hours of each dimension set
    assert "day" in shown.stderr
    whole = served.cli("backfill", "--dataset", "samples")
    assert "6 of 6 partitions" in whole.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("2d",), "LEVEL: must be 1m, 1h, 1d, 1w, 1mo, 1y, or minute, hour, day, week, month, year, not '2d'"),
        (("1m", "--dataset", "views"), "LEVEL: views have no minutes"),
        (("1d", "--dataset", "reads"), "--dataset: Input should be 'views' or 'samples'"),
        (("1d", "--start", "2025-02-30"), "--start: must be a date like 2025-01-31"),
        (("1d", "--start", "2024-01-01", "--end", "2024-02-01"), "--end: there is no sample in this range"),
    ],
)
def test_wrong_usage_is_one_line(served: ServiceProcess, arguments: tuple[str, ...], line: str) -> None:
    before = jobs(served)
    done = served.cli("refresh", *arguments, "--execute")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"readership: {line}")
    assert jobs(served) == before
