"""`readership backfill` and `readership worker` as operators use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import NewDsn
from tests.damage import events, store
from tests.process import MAIN, ServiceProcess
from tests.service import open_service
from tests.test_backfill import assert_right, begin, engine_of, spoil, until

_SECONDS = 120


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("backfill") / "data") as service:
        sent = [{"blog_id": "a", "viewed_at": f"2020-0{month}-15T12:00:00Z"} for month in range(1, 9)]
        httpx.post(f"{service.url}/api/events?wait=stored", json=sent, timeout=_SECONDS).raise_for_status()
        yield service


def jobs(service: ServiceProcess) -> list[Any]:
    found: list[Any] = httpx.get(f"{service.url}/api/backfills", timeout=_SECONDS).json()["results"]
    return found


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--granularity", "second"), "--granularity: Input should be 'minute', 'hour', 'day', 'week', 'month', "),
        (("--granularity", "minute"), "--granularity: views have no minutes: use hour, day, week, month, year or all"),
        (("--dataset", "reads"), "--dataset: Input should be 'views' or 'samples'"),
        (("--dataset", "samples"), "there is nothing to make again: no sample has been stored yet"),
        (("--start-date", "2025-02-30"), "--start-date: must be a date like 2025-01-31"),
        (("--end-date", "soon"), "--end-date: must be a date like 2025-01-31"),
        (("--start-date", "2020-02-02", "--end-date", "2020-02-01"), "--start-date: must be before end"),
        (("--start-date", "2021-01-01"), "--start-date: there is no event in this range"),
        (("--granularity", "hour", "--from", "rollup"), "--from: must be raw"),
    ],
)
def test_wrong_usage_ends_in_one_line_and_touches_nothing(
    served: ServiceProcess, arguments: tuple[str, ...], line: str
) -> None:
    before = jobs(served)
    done = served.cli("backfill", *arguments)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"readership: {line}")
    assert jobs(served) == before


def test_without_any_event_there_is_nothing_to_do(tmp_path: Path) -> None:
    # Nothing listens: the same application in the command's own process.
    done = ServiceProcess(tmp_path / "data", READERSHIP_URL="").cli("backfill")
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == ("readership: there is nothing to make again: no event has been stored yet")


def test_a_dry_run_shows_the_partitions(served: ServiceProcess) -> None:
    done = served.cli("backfill", "--granularity", "month", "--start-date", "2020-01-15", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "views_by_month" in done.stdout
    assert "2020-08-01T00:00:00Z" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 partitions would be made again from about 8 rows")


def test_it_waits_and_sums_up(served: ServiceProcess) -> None:
    done = served.cli("backfill", "--granularity", "hour", "--clear")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done in ")
    assert "24 rows read" in done.stdout
    assert "hour" in done.stderr
    told = json.loads(served.cli("backfill", "--granularity", "year", "--json").stdout)
    assert (told["status"], told["parameters"]["granularity"]) == ("done", "year")


def test_without_waiting_it_names_the_job(served: ServiceProcess) -> None:
    done = served.cli("backfill", "--granularity", "week", "--no-wait")
    assert done.returncode == 0, done.stderr
    newest = jobs(served)[0]
    assert done.stdout == f"{newest['id']}: {served.url}/api/backfills/{newest['id']}\n"


def test_ctrl_c_leaves_the_job_running_and_says_how_to_see_it(served: ServiceProcess) -> None:
    before = len(jobs(served))
    command = subprocess.Popen(
        [sys.executable, "-c", MAIN, "backfill"],
        env=served.environment,
        stderr=subprocess.PIPE,
        text=True,
        cwd=served.log.parent,
    )
    deadline = time.monotonic() + _SECONDS
    while len(found := jobs(served)) == before or not found[0]["units_done"]:
        assert time.monotonic() < deadline
    command.send_signal(signal.SIGINT)
    told = command.communicate(timeout=_SECONDS)[1]
    job = jobs(served)[0]
    url = f"{served.url}/api/backfills/{job['id']}"
    if command.returncode == 130:  # else it was done before it heard of the signal
        assert f"see it with `curl {url}`, cancel it with `curl -X DELETE {url}`" in told
    while httpx.get(url, timeout=_SECONDS).json()["status"] != "done":
        assert time.monotonic() < deadline


async def test_a_worker_of_its_own_does_what_the_service_leaves_to_it(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, engine_name: str
) -> None:
    if engine_name == "embedded":
        pytest.skip("an embedded ClickHouse is open in one process, which does its jobs itself")
    dsn = new_dsn()
    stored = events(60)
    async with open_service(dsn, redis_url, tmp_path, worker=False) as service:
        await store(engine_of(service), stored)
        await spoil(service, "day", "2020-06-30")
        id_ = await begin(service, granularity="day", start="2020-06-30", end="2020-06-30")
        variables = {"CLICKHOUSE_DSN": dsn, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}
        worker = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", MAIN, "worker"],
            env={**os.environ, **{f"READERSHIP_{name}": value for name, value in variables.items()}},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert (await until(service, id_))["status"] == "done"
        finally:
            worker.send_signal(signal.SIGTERM)
            log = worker.communicate(timeout=_SECONDS)[1]
        assert worker.returncode == 0, log
        assert "views_by_day[2020]" in log
        await assert_right(service, stored)
