"""`readership serve`."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.logs import configure_logging
from service.settings import load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="READERSHIP_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="READERSHIP_PORT")] = None,
) -> None:
    """Serve the API; settings come from the environment (READERSHIP_…) and from .env."""
    settings = load_settings(host=host, port=port)
    configure_logging(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Opened below, around the server: its errors then end in one line, not in a traceback.
        lifespan="off",
        forwarded_allow_ips=settings.trusted_proxies,
        log_config=None,
        access_log=False,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(app, uvicorn.Server(config)))


async def _serve(app: FastAPI, server: uvicorn.Server) -> None:
    # uvicorn raises the signal again once it has stopped, to end the process; with handlers of ours in place that
    # is harmless, and what the lifespan opened gets flushed and closed.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)
    async with app.router.lifespan_context(app):
        await server.serve()
