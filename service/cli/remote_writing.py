"""A made-up series sent by Prometheus's remote write, to Prometheus or whatever takes it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx

from service.cli.client import PATIENCE, NoService, RefusedByService, WrongRequest
from service.clock import now
from service.remote_write.codec import Series, encode
from service.settings import ENV_PREFIX
from service.synth.made import Made

TOKEN_VARIABLE = f"{ENV_PREFIX}REMOTE_WRITE_TOKEN"

# Samples a request: as many as Prometheus sends.
BATCH = 2_000

_LONGEST_PAUSE = 30.0  # seconds
_SHOWN = 500  # characters of an answer


@dataclass(frozen=True)
class Target:
    url: httpx.URL
    token: str = field(default="", repr=False)
    patience: float = PATIENCE
    """Seconds that one request is tried again."""

    @property
    def shown(self) -> str:
        """Without a query, which may hold a secret."""
        return str(self.url.copy_with(query=None))


def target(url: str) -> Target:
    """Raises ValueError for the URL, WrongRequest for the token."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("it has to be an http:// or https:// address")
    if parsed.userinfo:
        raise ValueError(f"a command line is no place for a password; {TOKEN_VARIABLE} is one for a bearer token")
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise WrongRequest(f"{TOKEN_VARIABLE} holds characters that no token has")
    return Target(parsed, token)


async def write_remotely(made: Made, to: Target, moved: Callable[[int], None], waiting: Callable[[str], None]) -> None:
    """One request after the other: the samples of a series have to arrive in order. `waiting` hears why it has to.

    Raises:
        RefusedByService: an answer that another try would not change; what came before it was taken.
        NoService: `patience` is over.
    """
    labels = sorted({"__name__": made.metric, **{name: value for name, value in made.labels.items() if value}}.items())
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
        **({"Authorization": f"Bearer {to.token}"} if to.token else {}),
    }
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        for batch in made.batches(BATCH):
            body = encode([Series(labels, [(1_000 * instant, value) for instant, value in batch])])
            await _send(client, to, body, waiting)
            moved(len(batch))


async def _send(client: httpx.AsyncClient, to: Target, body: bytes, waiting: Callable[[str], None]) -> None:
    deadline, pause = time.monotonic() + to.patience, 0.5
    while True:
        asked = 0.0
        try:
            response = await client.post(to.url, content=body)
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        else:
            if response.is_success:
                return
            why = _said(response, to)
            if response.status_code != 429 and response.status_code < 500:
                raise RefusedByService(f"{to.shown} refused samples: {why}")
            asked = _retry_after(response)
        pause = min(2 * pause, _LONGEST_PAUSE)
        if time.monotonic() + max(asked, pause) > deadline:
            raise NoService(f"{to.shown} took no samples for {to.patience:.0f} seconds: {why}")
        waiting(why)
        await asyncio.sleep(max(asked, pause))


def _said(response: httpx.Response, to: Target) -> str:
    """One line, in which a server that repeats what it was sent does not show the token."""
    text = " ".join(response.text.split())
    return f"{response.status_code} {text.replace(to.token, '…') if to.token else text}".strip()[:_SHOWN]


def _retry_after(response: httpx.Response) -> float:
    """Seconds; given as such or as a date."""
    given = response.headers.get("Retry-After", "")
    if given.isascii() and given.isdigit():
        return float(given)
    with suppress(ValueError, TypeError):  # the latter: a date without a zone
        return max(0.0, (parsedate_to_datetime(given) - now()).total_seconds())
    return 0.0
