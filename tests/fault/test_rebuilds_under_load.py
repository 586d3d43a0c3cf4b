"""Every rollup made again and again while events come into it: no event is lost or doubled, and no reader sees a number
go down."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.load import PATIENCE, SITES
from tests.fault.servers import UNCACHED, dsn_of
from tests.process import ServiceProcess

# The month that holds the last moments of what `load` sends; with the partitions they lie in, a third of all events.
ASKED = {"granularity": "all", "start": "2026-06-01", "end": "2026-06-30"}

# Each reads other rollups: of totals by several grains, of countries, and of blogs.
QUESTIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("performance", {"compare": "hour", "start": "2026-06-15", "end": "2026-06-15"}),
    ("performance", {"compare": "day", "start": "2025-12-01"}),
    ("performance", {"compare": "week", "start": "2025-12-01"}),
    ("performance", {"compare": "month", "start": "2025-12-01"}),
    ("performance", {"compare": "year"}),
    ("blog-views/country", {}),
    ("blog-views/blog", {"start": "2026-06-01"}),
)


# Seconds for one: each has more events than the one before, millions at the end of the full form.
_REBUILD = 900


@pytest.mark.parametrize("engine", ["embedded", "server"])
async def test_rebuilds_under_load(case: Case, tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> None:
    clickhouse: ClickHouseServer | None = request.getfixturevalue("clickhouse") if engine == "server" else None
    dsn = dsn_of(clickhouse) if clickhouse else f"chdb://{tmp_path / 'data' / 'clickhouse'}"
    with ServiceProcess(tmp_path / "data", **UNCACHED, READERSHIP_CLICKHOUSE_DSN=dsn) as service:
        reader = Reader(service.url)
        async with case.load(service):
            await visible(service.url)
            reading = asyncio.create_task(reader.run())
            for _ in range(case.form.rebuilds):
                await backfill(service.url)
                case.faults["rebuilds of every rollup"] += 1
            reader.stop.set()
            await reading
        case.faults["answers, none with less than before"] = reader.answers
        assert reader.rises, "no number went up: the test shows nothing"
        await case.prove(service, clickhouse)


async def visible(url: str) -> None:
    """Returns when the month has events."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        asked = {"site": SITES[0], "start": ASKED["start"], "end": ASKED["end"]}
        while True:
            if (await client.get("/api/analytics/top/country", params=asked)).json()["results"]:
                return
            await asyncio.sleep(0.05)


async def backfill(url: str) -> None:
    deadline = time.monotonic() + _REBUILD
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        response = await client.post("/api/backfills", json=ASKED)
        assert response.status_code == 202, response.text
        while True:
            job = (await client.get(response.json()["status_url"])).json()
            if job["status"] not in ("queued", "running") or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
    assert job["status"] == "done", job


class Reader:
    """Asks the same questions again and again; AssertionError when an answer has less than the one before."""

    def __init__(self, url: str) -> None:
        self.stop = asyncio.Event()
        self.answers = 0
        self.rises = 0
        self._url = url
        self._seen: dict[tuple[str, str, str], int] = {}

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=PATIENCE) as client:
            while not self.stop.is_set():
                for site in SITES:
                    for path, asked in QUESTIONS:
                        response = await client.get(f"/api/analytics/{path}", params={"site": site, **asked})
                        assert response.status_code == 200, response.text
                        self.answers += 1
                        self._compare(site, path, asked, response.json()["results"])

    def _compare(self, site: str, path: str, asked: dict[str, str], rows: list[dict[str, Any]]) -> None:
        question = f"{path} {asked}"
        name, views = ("id", "z") if path.startswith("blog-views") else ("period", "y")
        for row in rows:
            key = (site, question, row[name])
            before = self._seen.get(key, 0)
            assert row[views] >= before, f"{key}: {row[views]} views after {before}"
            self.rises += row[views] > before > 0
            self._seen[key] = row[views]
