"""The least a FastAPI service can do with an event: answer. Served as `service.cli.serving` serves ours."""

from __future__ import annotations

import asyncio
import os

import uvicorn
from fastapi import FastAPI, Response


def main() -> None:
    """Serves until killed, at READERSHIP_PORT."""
    app = FastAPI()

    @app.get("/readyz")
    async def readyz() -> Response:
        return Response()

    @app.post("/api/events")
    async def post_events() -> Response:
        return Response(b"{}", 202, media_type="application/json")

    config = uvicorn.Config(
        app, port=int(os.environ["READERSHIP_PORT"]), lifespan="off", log_config=None, access_log=False
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
