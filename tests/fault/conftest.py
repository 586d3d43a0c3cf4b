"""What fault tests share: a case each, and real servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.clickhouse_server import ClickHouseServer
from tests.fault import counts
from tests.fault.case import FORMS, Case
from tests.libchdb import LibchdbUnavailable, find_libchdb


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
    counts.keep(request.node, made)


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
