"""What fault tests share: a case each, real servers, and the table of counts at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import FORMS, Case
from tests.fault.truth import Verdict
from tests.libchdb import LibchdbUnavailable, find_libchdb

COUNTS = "counts of a fault test"


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Its seed stands in the report of a test that fails, its counts in the table at the end."""
    form = FORMS[request.config.getoption("--faults")]
    rounds = request.config.getoption("--rounds")
    if rounds:
        form = replace(form, kills=rounds, kills_of_both=rounds, rebuilds=rounds)
    given = request.config.getoption("--fault-seed")
    seed = secrets.randbelow(2**32) if given is None else given
    request.node.add_report_section("setup", "seed", f"--fault-seed {seed}")
    made = Case(request.node.name.removeprefix("test_"), form, Random(seed))
    yield made
    if made.verdict:
        # Properties travel with the report, out of the process that ran the test.
        request.node.user_properties.append((COUNTS, _line(made, made.verdict)))


def _line(case: Case, verdict: Verdict) -> str:
    return (
        f"{len(case.ledger.acknowledged):>12,} {verdict.stored:>9,} {len(verdict.lost):>5}"
        f" {len(verdict.doubled):>8} {verdict.wrong:>6}  {case.name}: "
        + ", ".join(f"{count:,} {kind}" for kind, count in sorted(case.faults.items()))
    )


@pytest.fixture
def clickhouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClickHouseServer]:
    """A server of the test's own, to be killed."""
    if request.config.getoption("--engine") == "embedded":
        pytest.skip("needs a ClickHouse server, and --engine embedded forbids one")
    try:
        library = find_libchdb()
    except LibchdbUnavailable as error:
        pytest.skip(f"server tier skipped: {error}")
    with ClickHouseServer(library, tmp_path / "server") as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The counts that the README quotes."""
    reports = (report for group in terminalreporter.stats.values() for report in group)
    ended = (report for report in reports if isinstance(report, pytest.TestReport) and report.when == "teardown")
    lines = [line for report in ended for name, line in report.user_properties if name == COUNTS]
    if not lines:
        return
    terminalreporter.section(f"faults, {config.getoption('--faults')} form")
    terminalreporter.write_line(
        f"{'acknowledged':>12} {'stored':>9} {'lost':>5} {'doubled':>8} {'wrong':>6}  case: faults"
    )
    for line in lines:
        terminalreporter.write_line(str(line))
