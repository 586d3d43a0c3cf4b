"""The CLI's way to the service: over HTTP where one listens, else the same application in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import typer

from service.cli.in_process import InProcess
from service.settings import ENV_PREFIX, load_settings

Url = Annotated[
    str | None,
    typer.Option(
        envvar=f"{ENV_PREFIX}URL",
        help="The service. Default http://127.0.0.1 at READERSHIP_PORT, else 8000; where nothing listens there, the"
        " embedded one in this process.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]

# 503 is the answer while ClickHouse restarts or too much waits, and what was sent may be stored all the same. Every
# event the CLI sends carries its event_id, blogs and authors carry theirs: sent again they add nothing.
_TRIES = 10

# Seconds that `persist` waits for a service that is restarted, or a ClickHouse that is.
PATIENCE = 300.0

# Seconds that ClickHouse may be away, or refuse the data, before `store` gives up.
UNSTORED = 600.0


class NoService(Exception):
    """Nothing answers at the asked address."""


class RefusedByService(Exception):
    """The service answered with a problem; the message is its detail."""


class WrongRequest(Exception):
    """What is asked for cannot be: wrong usage, in one line."""


def default_url() -> str:
    """Of a service with the same settings on this machine. Raises WrongSettings."""
    return f"http://127.0.0.1:{load_settings().port}"


@asynccontextmanager
async def open_client(url: str | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose base is the service.

    Raises:
        NoService: nothing listens at an address given explicitly, or in server mode.
    """
    asked = url or default_url()
    async with httpx.AsyncClient(base_url=asked, timeout=120) as client:
        if await _answers(client):
            yield client
            return
    settings = load_settings()
    if url is not None or not settings.dsn.embedded:
        raise NoService(f"nothing answers at {asked}; start it with `readership serve`, or give --url")
    from service.app import create_app  # 0.4 s of CPU, which who asks over HTTP need not spend

    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=InProcess(app), base_url=asked, timeout=600) as client,
    ):
        yield client


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        await client.get("/healthz", timeout=5)
    except httpx.TransportError:
        return False
    return True


async def call(client: httpx.AsyncClient, method: str, path: str, *, also: Collection[int] = (), **request: Any) -> Any:
    """The JSON of a 2xx answer, or of one with a status in `also`; waits and repeats on 503.

    Raises:
        RefusedByService: any other answer, or 503 to the last try.
    """
    for left in reversed(range(_TRIES)):
        response = await client.request(method, path, **request)
        if response.status_code == 503 and left:
            await asyncio.sleep(float(response.headers.get("Retry-After", 1)))
            continue
        if response.is_success or response.status_code in also:
            return response.json()
        raise RefusedByService(f"{method} {path}: {response.status_code} {detail_of(response)}")
    return None


async def persist(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> httpx.Response:
    """The answer to what may be sent twice without harm; waits while the service is away or says 503.

    Raises:
        NoService: that takes longer than PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            response = await client.request(method, path, **request)
            if response.status_code != 503:
                return response
            pause, why = float(response.headers.get("Retry-After", 1)), detail_of(response)
        except httpx.TransportError as error:
            pause, why = 0.5, str(error) or type(error).__name__
        if time.monotonic() > deadline:
            raise NoService(f"no answer from {client.base_url} for {PATIENCE:.0f} seconds: {why}")
        await asyncio.sleep(pause)


async def store(client: httpx.AsyncClient, path: str, **request: Any) -> dict[str, Any]:
    """POSTs rows, as often as it takes until they are stored: the answer to the first time, a 422's where none of them
    was acceptable.

    Raises:
        NoService: that takes longer than UNSTORED; or as `persist`.
        RefusedByService: any other answer.
    """
    first: dict[str, Any] | None = None
    deadline = time.monotonic() + UNSTORED
    while True:
        response = await persist(client, "POST", f"{path}?wait=stored", **request)
        if response.status_code not in {202, 422} or "accepted" not in (answer := response.json()):
            raise RefusedByService(detail_of(response))
        first = first or answer
        if answer.get("stored", True):
            return first
        if time.monotonic() > deadline:
            raise NoService("ClickHouse has stored nothing for ten minutes; what was sent is safe")


def detail_of(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
