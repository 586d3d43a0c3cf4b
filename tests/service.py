"""The whole service in this process, and the few ways tests talk to it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings
from tests.clickhouse_server import free_ports

Json = dict[str, Any]


class Service:
    """An HTTP client of the application, with the statuses asserted that a test takes for granted."""

    def __init__(self, client: httpx.AsyncClient, app: FastAPI) -> None:
        self.http = client
        self.app = app

    async def post(self, events: Sequence[Json]) -> Json:
        """All events are acceptable; they are visible when this returns."""
        response = await self.http.post("/api/events", params={"wait": "stored"}, json=list(events))
        assert response.status_code == 202, response.text
        answer: Json = response.json()
        assert answer["rejected"] == []
        assert answer.pop("stored")
        return answer

    async def put(self, path: str, rows: Json | Sequence[Json]) -> None:
        response = await self.http.put(path, json=rows)
        assert response.status_code == 200, response.text

    async def ask(self, path: str, **parameters: Any) -> Json:
        """By GET; the answer's envelope."""
        response = await self.http.get(path, params=parameters)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer


@asynccontextmanager
async def open_service(dsn: str, redis_url: str, folder: Path, **changed: Any) -> AsyncIterator[Service]:
    """Answers are not cached unless `cache_ttl_seconds` is given: tests change what they have asked for. Jobs are done
    unless `worker` says no, and begun by nobody but the test unless `schedules` says so."""
    changed = {"cache_ttl_seconds": 0, "worker": True, "schedules": False, **changed}
    settings = Settings(_env_file=None, data_dir=folder, clickhouse_dsn=dsn, redis_url=redis_url, **changed)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            # A fault of ours is to be seen as the client would see it.
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://readership.test",
            timeout=120,
        ) as client,
    ):
        yield Service(client, app)


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[str]:
    """The service at an address of its own."""
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(service.app, port=port, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def new_site() -> str:
    """A site no other test has: tests share databases and keep apart by site."""
    return f"site-{secrets.token_hex(6)}"
