"""The application in this process behind an HTTP client, its answers passed on as they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
from starlette.types import ASGIApp, Message


class InProcess(httpx.AsyncBaseTransport):
    """As httpx.ASGITransport, which keeps an answer in memory until it is whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what the application raises before its answer begins; the body raises what it raises later."""
        exchange = _Exchange(await request.aread())
        exchange.running = asyncio.create_task(self._run(request, exchange))
        begun = await exchange.told.get()
        if begun is None:
            await exchange.running
            raise httpx.RemoteProtocolError("the service ended without an answer")
        return httpx.Response(begun["status"], headers=begun["headers"], stream=exchange)

    async def _run(self, request: httpx.Request, exchange: _Exchange) -> None:
        path, _, query = request.url.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": path,
            "query_string": query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 123),
            "root_path": "",
        }
        try:
            await self._app(scope, exchange.receive, exchange.told.put)
        finally:
            await exchange.told.put(None)


class _Exchange(httpx.AsyncByteStream):
    """A request's body on its way in, and what is answered on its way out: a message at a time waits to be read."""

    def __init__(self, body: bytes) -> None:
        self.running: asyncio.Task[None]
        self.told = asyncio.Queue[Message | None](1)
        self._body: bytes | None = body
        self._ended = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.told.get()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return
        await self.running
        raise httpx.RemoteProtocolError("the service broke off its answer")

    async def aclose(self) -> None:
        """Lets the application end what it still has to do; one that does not is ended."""
        self._ended.set()
        while not self.running.done():
            with suppress(asyncio.QueueEmpty):
                self.told.get_nowait()
            await asyncio.wait([self.running], timeout=0.05)
        with suppress(Exception):
            self.running.result()
