"""kill -9 in the middle of ingestion: the service starts again without help, and what it acknowledged is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import httpx

from tests.process import ServiceProcess

ROUNDS = 3


async def _post_until_it_dies(service: ServiceProcess, acknowledged: set[str], attempted: set[str]) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        while True:
            ids = [str(uuid4()) for _ in range(20)]
            attempted.update(ids)
            events = [{"blog_id": event_id, "event_id": event_id, "author_id": "u"} for event_id in ids]
            try:
                response = await client.post("/api/events", json=events)
            except httpx.TransportError:
                return
            if response.status_code == 202:
                acknowledged.update(ids)


async def test_acknowledged_events_survive_kill_9(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    attempted: set[str] = set()
    with ServiceProcess(tmp_path / "data") as service:
        for round_ in range(ROUNDS):
            writers = [asyncio.create_task(_post_until_it_dies(service, acknowledged, attempted)) for _ in range(8)]
            await asyncio.sleep(0.7 + round_ / 7)
            service.kill()
            await asyncio.gather(*writers)
            service.start()
        stored = await _stored(service)
    assert acknowledged, "nothing was acknowledged before the kill: the test shows nothing"
    assert acknowledged <= stored.keys() <= attempted
    assert set(stored.values()) == {1}


async def _stored(service: ServiceProcess) -> dict[str, int]:
    """Views per blog, which is views per event here, from the year rollup; page by page."""
    found: dict[str, int] = {}
    path: str | None = f"{service.url}/api/analytics/blog-views/blog/?page_size=1000"
    async with httpx.AsyncClient(timeout=30) as client:
        while path:
            answer = (await client.get(path)).json()
            found |= {row["id"]: row["z"] for row in answer["results"]}
            path = answer["next"]
    return found


def test_sigterm_flushes_and_exits_0(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        httpx.post(f"{service.url}/api/events", json={"blog_id": "a"}, timeout=30)
        assert service.stop() == 0
        assert not _is_running_valkey(service)
        service.start()
        rows = httpx.get(f"{service.url}/api/analytics/top", timeout=30).json()["results"]
    assert [(row["id"], row["z"]) for row in rows] == [("a", 1)]


def _is_running_valkey(service: ServiceProcess) -> bool:
    return (service.data / "valkey" / "valkey.sock").exists()
