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
from tests.libchdb import LibchdbUnavailable, find_libchdb

_cases = pytest.StashKey[list[Case]]()


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """Its seed stands in the report of a test that fails."""
    form = FORMS[request.config.getoption("--faults")]
    rounds = request.config.getoption("--rounds")
    if rounds:
        form = replace(form, kills=rounds, kills_of_both=rounds, rebuilds=rounds)
    given = request.config.getoption("--fault-seed")
    seed = secrets.randbelow(2**32) if given is None else given
    request.node.add_report_section("setup", "seed", f"--fault-seed {seed}")
    made = Case(request.node.name.removeprefix("test_"), form, Random(seed))
    request.config.stash.setdefault(_cases, []).append(made)
    return made


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
    cases = [case for case in config.stash.get(_cases, []) if case.verdict]
    if not cases:
        return
    terminalreporter.section(f"faults, {config.getoption('--faults')} form")
    terminalreporter.write_line(
        f"{'acknowledged':>12} {'stored':>9} {'lost':>5} {'doubled':>8} {'wrong':>6}  case: faults"
    )
    for case in cases:
        assert case.verdict
        terminalreporter.write_line(
            f"{len(case.ledger.acknowledged):>12,} {case.verdict.stored:>9,} {len(case.verdict.lost):>5}"
            f" {len(case.verdict.doubled):>8} {case.verdict.wrong:>6}  {case.name}: "
            + ", ".join(f"{count:,} {kind}" for kind, count in sorted(case.faults.items()))
        )
