"""What `readership doctor` finds, and what it advises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clickhouse.engine import Row
from clickhouse.statement import Statement
from service import operations
from service.cli import doctor as command
from service.doctor import checks, versions
from service.doctor.checks import Check, Status
from service.problems import FieldError
from tests.conftest import NewDsn
from tests.dead_letters import event, letter
from tests.process import ServiceProcess
from tests.service import Json, Service, open_service
from tests.spool_status import Spool, Unreadable
from workers.dead_letters import DeadLetters, Summary
from workers.flush_status import FlushStatus

NAMES = [
    *("clickhouse", "redis", "spool"),
    *("spool size", "spool age", "sample spool size", "sample spool age", "disk", "dead letters"),
    *("flush", "sample flush"),
]


@pytest.mark.parametrize(
    ("spool", "size", "age", "disk"),
    [
        (Spool(), "ok", "ok", "ok"),
        (Spool(bytes=799), "ok", "ok", "ok"),
        (Spool(bytes=800), "warn", "ok", "ok"),
        (Spool(bytes=1_000), "fail", "ok", "ok"),
        (Spool(oldest_age_seconds=80), "ok", "warn", "ok"),
        (Spool(oldest_age_seconds=100), "ok", "fail", "ok"),
        (Spool(free_bytes=1_999), "ok", "ok", "warn"),
        (Spool(free_bytes=999), "ok", "ok", "fail"),
    ],
)
def test_spool_is_judged_by_its_limits(spool: Spool, size: str, age: str, disk: str) -> None:
    found = [*checks.spool(spool), checks.disk(spool)]
    assert [(check.name, check.status) for check in found] == [("spool size", size), ("spool age", age), ("disk", disk)]
    assert all((check.remedy is None) == (check.status == "ok") for check in found)


def test_numbers_of_the_spool_are_shown_with_their_limits() -> None:
    spool = Spool(bytes=900, waiting_events=1_234, oldest_age_seconds=12.4)
    found = [*checks.spool(spool), checks.disk(spool)]
    assert [check.detail for check in found] == [
        "900 bytes of 1.0 kB, 1,234 events wait",
        "the oldest event waits 12 s of 100 s",
        "10.0 kB free, below 1.0 kB nothing is taken",
    ]


def test_each_fault_is_one_failed_check_with_a_remedy() -> None:
    found = checks.parts([FieldError(field="redis", message="Connection refused")])
    assert [(check.name, check.status, check.detail) for check in found] == [
        ("clickhouse", "ok", "ready"),
        ("redis", "fail", "Connection refused"),
        ("spool", "ok", "ready"),
    ]
    assert "READERSHIP_REDIS_URL" in str(found[1].remedy)


def test_dead_letters_fail_until_somebody_decides() -> None:
    readable = Summary("a", 100, 0, letter([event("s"), event("s")]), None)
    torn = Summary("b", 3, 0, None, "b: its first line is no header")
    assert checks.dead_letters([]).status == "ok"
    found = checks.dead_letters([readable, torn])
    assert (found.status, found.detail) == ("fail", "2, with 2 events; 1 unreadable")
    assert "readership dead-letter list" in str(found.remedy)


def test_flush_error_is_a_warning_until_the_next_success() -> None:
    status = FlushStatus()
    assert checks.flush(status).detail == "no failure since the start"
    status.failed(1_738_324_800_000, "Too many parts")
    failing = checks.flush(status)
    assert (failing.status, failing.detail) == (
        "warn",
        "fails since its last try, 2025-01-31T12:00:00Z: Too many parts",
    )
    status.succeeded(1_738_324_801_000)
    works = checks.flush(status)
    assert (works.status, works.detail) == ("ok", "works; last failure 2025-01-31T12:00:00Z: Too many parts")


@pytest.mark.parametrize(
    ("found", "worst"),
    [((), "ok"), (("ok", "ok"), "ok"), (("warn", "ok"), "warn"), (("warn", "fail", "ok"), "fail")],
)
def test_report_is_as_bad_as_its_worst_check(found: Sequence[str], worst: str) -> None:
    assert checks.worst([Check(name="x", status=Status(status), detail="") for status in found]) == worst


async def examine(service: Service) -> tuple[str, dict[str, Json]]:
    report = await service.ask("/api/doctor")
    return report["status"], {check["name"]: check for check in report["checks"]}


async def test_service_that_is_well_is_found_well(new_dsn: NewDsn, redis_url: str, tmp_path: Path) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        report = await service.ask("/api/doctor")
    assert [check["name"] for check in report["checks"]] == NAMES
    assert {check["status"] for check in report["checks"]} == {report["status"]} == {"ok"}
    assert report["versions"]["readership"] == "0.1.0"
    assert all(number.partition(".")[0].isdigit() for number in report["versions"].values())


async def test_redis_away_fails_its_check_and_no_other(new_dsn: NewDsn, tmp_path: Path) -> None:
    async with open_service(new_dsn(), "redis://127.0.0.1:9/0", tmp_path) as service:
        status, found = await examine(service)
        assert (status, found["redis"]["status"]) == ("fail", "fail")
        assert {check["status"] for name, check in found.items() if name != "redis"} == {"ok"}
        assert (await service.ask("/api/doctor"))["versions"]["redis"] is None


class Silent:
    """A ClickHouse that took the question and never answers."""

    async def select(self, _: Statement) -> list[Row]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_clickhouse_that_hangs_is_named_and_holds_nobody(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (operations, versions):
        monkeypatch.setattr(module, "_PATIENCE", 0.05)
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        service.app.state.readership = replace(service.app.state.readership, engine=Silent())
        status, found = await examine(service)
        assert (status, found["clickhouse"]["detail"]) == ("fail", "no answer within 0.05 seconds")
        ready = await service.http.get("/readyz")
        assert (ready.status_code, ready.json()["errors"][0]["field"]) == (503, "clickhouse")


async def test_spool_that_takes_nothing_is_not_ready(new_dsn: NewDsn, redis_url: str, tmp_path: Path) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        spool = Spool(bytes=1_000, fault="the spool is full")
        service.app.state.readership = replace(service.app.state.readership, spools=(spool, Spool()))
        ready = await service.http.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, "spool: the spool is full")
        status, found = await examine(service)
        assert (status, found["spool"]["detail"], found["spool size"]["status"]) == (
            "fail",
            "the spool is full",
            "fail",
        )


async def test_disk_that_does_not_answer_is_one_failed_check(new_dsn: NewDsn, redis_url: str, tmp_path: Path) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        service.app.state.readership = replace(service.app.state.readership, spools=(Unreadable(), Spool()))
        status, found = await examine(service)
    assert (status, found["disk"]["status"]) == ("fail", "fail")
    assert "Input/output error" in found["disk"]["detail"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("doctor") / "data") as service:
        yield service


def test_command_prints_a_table_and_its_status_says_whether_something_fails(served: ServiceProcess) -> None:
    well = served.cli("doctor")
    assert (well.returncode, well.stderr) == (0, "")
    assert all(name in well.stdout for name in ("service", *NAMES))
    assert "readership 0.1.0, python 3" in well.stdout

    letters, put = DeadLetters(served.data / "dead-letters"), letter([event("s")])
    letters.put(put)
    ill = served.cli("doctor")
    assert ill.returncode == 1
    assert "→ readership dead-letter list, then retry or drop" in ill.stdout
    report = json.loads(served.cli("doctor", "--json").stdout)
    assert report["status"] == "fail"
    assert {check["name"] for check in report["checks"] if check["status"] == "fail"} == {"dead letters"}
    letters.drop(put.token)
    assert served.cli("doctor").returncode == 0


def test_command_says_that_nothing_answers_and_starts_nothing(tmp_path: Path) -> None:
    nobody = ServiceProcess(tmp_path / "data")
    done = nobody.cli("doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert "start it with `readership serve`" in done.stdout
    assert not nobody.data.exists()
    (check,) = json.loads(nobody.cli("doctor", "--json").stdout)["checks"]
    assert (check["name"], check["status"]) == ("service", "fail")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/docs", "it answers 404"),
        ("/docs-assets/redoc.standalone.js?", "it answers 200"),
        ("ftp://nowhere", "nothing answers"),
        ("http://[", "nothing answers"),
    ],
)
def test_command_says_when_what_answers_is_not_readership(served: ServiceProcess, url: str, words: str) -> None:
    done = served.cli("doctor", "--url", url if "://" in url else served.url + url)
    assert (done.returncode, words in done.stdout, done.stderr) == (1, True, ""), done.stdout


def test_command_of_another_version_than_the_service_warns(
    served: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "version", lambda _: "9.9.9")
    report: dict[str, Any] = asyncio.run(command._examine(served.url))
    assert (report["status"], report["checks"][0]["status"]) == ("warn", "warn")
    assert "runs 0.1.0, this command is 9.9.9" in report["checks"][0]["detail"]
