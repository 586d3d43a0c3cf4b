"""The application: routes, errors, documents, and the lifespan that builds what they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import optimal, problems
from service.analytics import routes as analytics
from service.backfills import routes as backfills
from service.blogs import routes as blogs
from service.dead_letters import routes as dead_letters
from service.deletions import routes as deletions
from service.doctor import routes as doctor
from service.documents import install_documents
from service.events import routes as events
from service.exports import routes as exports
from service.imports import routes as imports
from service.jobs import routes as jobs
from service.limits import BodyLimit
from service.metrics import router as metrics
from service.operations import router as operations
from service.reconciliations import routes as reconciliations
from service.remote_write import routes as remote_write
from service.samples import routes as samples
from service.schedule import routes as schedule
from service.series import routes as series
from service.settings import Settings
from service.state import open_state

# Asking OpenTelemetry whether anybody listens takes FastAPI 6 µs a request. Our numbers are at /metrics.
_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application; nothing is opened before its lifespan starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_state(settings) as app.state.readership:
            yield

    app = FastAPI(
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.router.routes[:0] = [events.route, samples.route, remote_write.route]
    for router in (
        blogs.router,
        analytics.router,
        optimal.router,
        series.router,
        backfills.router,
        jobs.router,
        reconciliations.router,
        schedule.router,
        dead_letters.router,
        deletions.router,
        imports.router,
        exports.router,
        doctor.router,
        operations,
        metrics,
    ):
        app.include_router(router)
    problems.install(app)
    install_documents(app)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes)
    app.add_middleware(TrailingSlash)
    app.add_middleware(Head)
    return app


class TrailingSlash:
    """`/api/events/` is `/api/events`: served at once, not redirected (a redirected POST loses its body).

    An encoded slash is none: `/api/blogs/a%2F` is another blog than `/api/blogs/a`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            sent = scope.get("raw_path") or scope["path"].encode()
            slashes = len(sent) - len(sent.rstrip(b"/"))
            scope = {**scope, "path": scope["path"][: len(scope["path"]) - slashes] or "/"}
        await self._app(scope, receive, send)


class Head:
    """HEAD is GET without the body; what would make one piece by piece is ended once the answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        async def keep_head(message: Message) -> None:
            if not begun.done():
                begun.set_result(message)

        task = asyncio.ensure_future(self._app({**scope, "method": "GET"}, receive, keep_head))
        either: list[asyncio.Future[Any]] = [task, begun]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                await send(begun.result())
                await send({"type": "http.response.body", "body": b""})
            else:
                await task  # it failed, or its client is gone
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
