"""Stops: what was acknowledged is there afterwards. For kills there is tests/fault."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.process import ServiceProcess
from tests.readme import README

_SELECT = """
import asyncio, json, sys
from clickhouse.engine import Dsn, open_engine
from clickhouse.statement import Statement

async def main():
    engine = await open_engine(Dsn.parse(sys.argv[1]))
    print(json.dumps([list(row) for row in await engine.select(Statement(sys.argv[2]))]))
    await engine.close()

asyncio.run(main())
"""


def select(service: ServiceProcess, sql: str) -> list[list[Any]]:
    """Rows of the stopped service's database, read by a process of its own: chDB opens one folder a process."""
    done = subprocess.run(
        [sys.executable, "-c", _SELECT, f"chdb://{service.data}/clickhouse", sql],
        capture_output=True,
        text=True,
        check=True,
        cwd=README.parent,
    )
    rows: list[list[Any]] = json.loads(done.stdout)
    return rows


async def test_sigterm_answers_what_is_in_flight_and_exits_0(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            posts = [asyncio.create_task(client.post("/api/events", json={"blog_id": "a"})) for _ in range(60)]
            await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
            assert await asyncio.to_thread(service.stop) == 0
            answers = await asyncio.gather(*posts, return_exceptions=True)
        assert not (service.data / "valkey" / "valkey.sock").exists()
        stored = select(service, "SELECT count() FROM view_events")[0][0]
    accepted = [one for one in answers if isinstance(one, httpx.Response) and one.status_code == 202]
    assert accepted
    assert len(accepted) <= stored <= len(posts)


def test_what_was_stored_before_a_stop_is_there_after_it(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        httpx.post(f"{service.url}/api/events", json={"blog_id": "a"}, timeout=30)
        assert service.stop() == 0
        service.start()
        rows = httpx.get(f"{service.url}/api/analytics/top", timeout=30).json()["results"]
    assert [(row["id"], row["z"]) for row in rows] == [("a", 1)]
