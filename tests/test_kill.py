"""kill -9 in the middle of ingestion: the service starts again without help, and what it acknowledged is there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from clickhouse.rollups import GRAINS
from tests.process import ServiceProcess
from tests.readme import README
from tests.service import Json

ROUNDS = 4
WRITERS = 6


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


class Writer:
    """A client that sends a batch again, with the same ids, until it is acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.attempted: set[str] = set()
        self._batch: list[Json] = []

    async def post_until_it_dies(self, service: ServiceProcess) -> None:
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
            while True:
                self._batch = self._batch or [self._event() for _ in range(20)]
                try:
                    response = await client.post("/api/events", json=self._batch)
                except httpx.TransportError:
                    return
                if response.status_code == 202:
                    self.acknowledged |= {event["event_id"] for event in self._batch}
                    self._batch = []

    def _event(self) -> Json:
        event_id = str(uuid4())
        self.attempted.add(event_id)
        return {"blog_id": event_id, "event_id": event_id, "author_id": "u", "country": "ET"}


async def test_acknowledged_events_survive_kill_9_once_and_in_every_rollup(tmp_path: Path) -> None:
    writers = [Writer() for _ in range(WRITERS)]
    with ServiceProcess(tmp_path / "data") as service:
        for round_ in range(ROUNDS):
            tasks = [asyncio.create_task(writer.post_until_it_dies(service)) for writer in writers]
            await asyncio.sleep(0.6 + round_ / 7)
            service.kill()
            await asyncio.gather(*tasks)
            service.start()
        assert service.stop() == 0
        raw = {row[0]: row[1] for row in select(service, "SELECT blog_id, count() FROM view_events GROUP BY blog_id")}
        rollups = {
            (grain.name, row[0]): row[1]
            for grain in GRAINS
            for row in select(
                service, f"SELECT toString(dimension_set), sum(views) FROM {grain.table} GROUP BY dimension_set"
            )
        }
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    attempted = set().union(*(writer.attempted for writer in writers))
    assert acknowledged, "nothing was acknowledged before a kill: the test shows nothing"
    assert acknowledged <= raw.keys() <= attempted
    assert set(raw.values()) == {1}
    assert set(rollups.values()) == {len(raw)}, rollups


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
