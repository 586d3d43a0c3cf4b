"""Engines to test on. `--engine embedded|server|both`: each test that asks for a service runs on each of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from redis.asyncio import Redis

from clickhouse.engine import Dsn, Engine, open_engine
from tests.clickhouse_server import ClickHouseServer
from tests.fault import counts
from tests.libchdb import LibchdbUnavailable, find_libchdb
from tests.service import Service, new_site, open_service
from workers.queue import open_queue

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"

# No deadline: one slow disk write is no fault of ours. Databases are shared by examples, each has a site of its own.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("default")

NewDsn = Callable[[], str]

_library = pytest.StashKey[Path]()
_skipped = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=("embedded", "server", "both"), default="both", help="what to test on")
    parser.addoption("--faults", choices=("short", "full"), default="short", help="how long the fault tier is")
    parser.addoption("--rounds", type=int, help="kills of each kind, in place of what --faults says")
    parser.addoption("--readings", choices=("short", "full"), default="short", help="how many heart rates there are")
    parser.addoption("--fault-seed", type=int, help="repeats the choices of a fault test that failed")


def pytest_configure(config: pytest.Config) -> None:
    """Finds the real ClickHouse server; without npm its tier is skipped, except where it was asked for."""
    for name in [name for name in os.environ if name.startswith("READERSHIP_")]:
        if not name.startswith("READERSHIP_TEST_"):
            del os.environ[name]
    if config.getoption("--engine") == "embedded" or "READERSHIP_TEST_CLICKHOUSE_DSN" in os.environ:
        return
    try:
        config.stash[_library] = find_libchdb()
    except LibchdbUnavailable as error:
        if os.environ.get("CI") == "true" or config.getoption("--engine") == "server":
            pytest.exit(f"the server tier cannot run: {error}", returncode=1)
        config.stash[_skipped] = f"server tier skipped: {error}"


def pytest_report_header(config: pytest.Config) -> str:
    return config.stash.get(_skipped, "") or f"engines: {', '.join(_engines(config))}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(_skipped, ""):
        terminalreporter.write_line(config.stash[_skipped], yellow=True)
    # Told from here: of a run in several processes this one reads no conftest.py of a folder below.
    counts.tell(terminalreporter, config.getoption("--faults"))


def _engines(config: pytest.Config) -> list[str]:
    asked = config.getoption("--engine")
    wanted = ["embedded", "server"] if asked == "both" else [asked]
    return [name for name in wanted if name == "embedded" or _skipped not in config.stash]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", _engines(metafunc.config), scope="session")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readership")


@pytest.fixture(scope="session")
def clickhouse_server(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The DSN of a real server, its database left open."""
    given = os.environ.get("READERSHIP_TEST_CLICKHOUSE_DSN")
    if given:
        yield given.rpartition("/")[0]
        return
    with ClickHouseServer(request.config.stash[_library], folder / "server") as server:
        yield server.dsn.rpartition("/")[0]


@pytest.fixture(scope="session")
async def redis_url(folder: Path) -> AsyncIterator[str]:
    """A real Valkey for all services of the session."""
    async with open_queue(None, folder / "valkey"):
        yield f"unix://{folder / 'valkey' / 'valkey.sock'}"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the test's own."""
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture(scope="session")
async def new_dsn(request: pytest.FixtureRequest, engine_name: str, folder: Path) -> AsyncIterator[NewDsn]:
    """Makes the DSN of a database that does not exist yet, on the engine under test."""
    if engine_name == "server":
        server = request.getfixturevalue("clickhouse_server")
        yield lambda: f"{server}/test_{secrets.token_hex(4)}"
        return

    def embedded() -> str:
        return f"chdb://{folder / 'clickhouse'}?database=test_{secrets.token_hex(4)}"

    # chDB opens and closes its engine with the first and the last handle; this one keeps it open.
    keeper = await open_engine(Dsn.parse(embedded()))
    yield embedded
    await keeper.close()


@pytest.fixture
async def engine(new_dsn: NewDsn) -> AsyncIterator[Engine]:
    """An empty database of the test's own."""
    opened = await open_engine(Dsn.parse(new_dsn()))
    yield opened
    await opened.close()


@pytest.fixture
async def fresh_service(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    """The whole service on a database of the test's own."""
    async with open_service(new_dsn(), redis_url, folder) as service:
        yield service


@pytest.fixture(scope="session")
async def service(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    """The whole service, shared by the session: each test takes a site of its own."""
    async with open_service(new_dsn(), redis_url, folder) as service:
        yield service


@pytest.fixture
def site() -> str:
    return new_site()
