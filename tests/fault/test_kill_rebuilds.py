"""kill -9 of the worker after every step of a rebuild: the next one finishes the job, and rollups are raw."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from redis import Redis

from tests.clickhouse_server import ClickHouseServer
from tests.dying import MAIN, STEPS, VARIABLE
from tests.fault.case import Case
from tests.fault.load import PATIENCE, Writer, make_events
from tests.fault.servers import UNCACHED, dsn_of
from tests.fault.settling import settle
from tests.process import ServiceProcess
from tests.readme import README

# First events go to their authors; the decade is one unit, which may die as often as this and some times more before
# it is given up (workers/jobs/runner.py).
ASKED = {"granularity": "year"}
DEATHS = 3

_SPOIL = """
import asyncio, sys
from clickhouse.engine import Dsn, open_engine
from clickhouse.statement import Statement

async def main():
    engine = await open_engine(Dsn.parse(sys.argv[1]))
    await engine.execute(
        Statement("ALTER TABLE views_by_year DELETE WHERE dimension_set != 'author' SETTINGS mutations_sync = 2")
    )
    await engine.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("engine", ["embedded", "server"])
async def test_kill_9_after_every_step_of_a_rebuild(
    case: Case, tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    clickhouse: ClickHouseServer | None = request.getfixturevalue("clickhouse") if engine == "server" else None
    dsn = dsn_of(clickhouse) if clickhouse else f"chdb://{tmp_path / 'data' / 'clickhouse'}"
    service = ServiceProcess(tmp_path / "data", MAIN, **UNCACHED, READERSHIP_CLICKHOUSE_DSN=dsn)
    with service:
        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as client:
            await Writer(service.url, case.ledger, case.rng).post(client, make_events(case.rng, 300))
        for steps in (STEPS[:DEATHS], STEPS[DEATHS:]):
            await settle(service.url, case.ledger, case.rng)
            assert await asyncio.to_thread(service.stop) == 0
            await spoil(dsn)
            await die_after(case, service, steps)
            await asyncio.to_thread(service.start)
            assert await attempts(service) == [1, DEATHS + 1]
        await case.prove(service, clickhouse)


async def die_after(case: Case, service: ServiceProcess, steps: tuple[str, ...]) -> None:
    """A backfill is begun as often as there are steps."""
    for step in steps:
        service.environment[VARIABLE] = step
        if step == steps[0]:
            await asyncio.to_thread(service.start)
            async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as client:
                with suppress(httpx.TransportError):  # it may be dead by then
                    await client.post("/api/backfills", json=ASKED)
        else:
            await asyncio.to_thread(service.launch)
        assert await asyncio.to_thread(service.ended) == -signal.SIGKILL
        case.faults[f"kills after {step}"] += 1
        # Its leases would run out by themselves, ten seconds later. The queue is lost with them.
        with Redis(unix_socket_path=str(service.data / "valkey" / "valkey.sock")) as redis:
            redis.flushall()
    del service.environment[VARIABLE]


async def attempts(service: ServiceProcess) -> list[int]:
    """Of each unit of the newest backfill, when it is done."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=service.url) as client:
        id_ = (await client.get("/api/backfills")).json()["results"][0]["id"]
        while True:
            found = (await client.get(f"/api/backfills/{id_}")).json()
            if found["status"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.05)
    assert found["status"] == "done", found
    return [step["attempt"] for step in found["steps"]]


async def spoil(dsn: str) -> None:
    """By a process of its own: chDB opens one folder a process."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SPOIL, dsn, cwd=README.parent)
    assert await process.wait() == 0
