"""Clients: they mix what clients send, and send again until they are answered; some give up."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from uuid import UUID

import httpx

from tests.fault.oracle import Ledger
from tests.oracle_calendar import instant
from tests.service import Json

WRITERS = 6

SITES = ("alpha", "beta", "gamma")
_BLOGS, _AUTHORS, _VIEWERS = 40, 8, 60
_COUNTRIES = ("ET", "KE", "DE", "US", "")

# Few, so that rollup rows are made of many batches; of ten months, so that batches touch several partitions; at the
# ends of weeks, months and years.
_MOMENTS = tuple(
    instant(text)
    for text in (
        *("2024-02-29T23:59:59Z", "2024-12-29T23:50:00Z", "2024-12-30T00:00:00Z", "2024-12-31T23:59:59Z"),
        *("2025-01-01T00:00:00Z", "2025-01-05T18:30:00Z", "2025-03-31T06:15:00Z", "2025-06-30T23:44:59Z"),
        *("2025-09-01T12:00:00Z", "2025-12-31T17:59:59Z", "2026-01-01T05:45:00Z", "2026-06-15T10:10:10Z"),
    )
)

# Seconds in which a client that sends again and again must be answered once nothing is spoilt any more.
PATIENCE = 90

# Seconds between tries of a client that was not answered.
_PAUSE = 0.05

# Events at full speed, and seconds between two requests of a writer from then on. The books take 600 bytes an event: 50
# rebuilds beside other work, each slower than the one before as raw grew, had 24 million by the fortieth.
_MOST = 10_000_000
_TRICKLE = 1.0

JSON, NDJSON = "application/json", "application/x-ndjson"


def make_events(rng: Random, count: int) -> list[Json]:
    """Acceptable events with ids of their own."""
    return [_event(rng) for _ in range(count)]


def _event(rng: Random) -> Json:
    blog = rng.randrange(_BLOGS)
    return {
        "event_id": str(UUID(int=rng.getrandbits(128), version=4)),
        "site": rng.choice(SITES),
        "blog_id": f"b{blog}",
        "author_id": f"a{blog % _AUTHORS}",
        "country": rng.choice(_COUNTRIES),
        "viewer_id": f"v{rng.randrange(_VIEWERS)}",
        "viewed_at": rng.choice(_MOMENTS),
    }


def encode(rng: Random, events: list[Json]) -> tuple[bytes, dict[str, str]]:
    """One event alone, some as an array, many as lines; one body in four is compressed."""
    kind = NDJSON if len(events) > 100 else JSON
    body = b"\n".join(json.dumps(event).encode() for event in events)
    if kind == JSON:
        body = json.dumps(events[0] if len(events) == 1 else events).encode()
    if rng.random() < 0.25:
        return gzip.compress(body, 1), {"Content-Type": kind, "Content-Encoding": "gzip"}
    return body, {"Content-Type": kind}


class Writer:
    """One client with one request under way."""

    def __init__(self, url: str, ledger: Ledger, rng: Random) -> None:
        self._url = url
        self._ledger = ledger
        self._rng = rng

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when the request under way at the stop is answered; AssertionError when that takes too long."""
        async with httpx.AsyncClient(base_url=self._url, timeout=120) as client:
            while not stop.is_set():
                events = make_events(self._rng, self._rng.choices((1, 20, 500), (8, 8, 3))[0])
                gives_up = self._rng.random() < 0.05
                await self._until_answered(client, events, stop, gives_up=gives_up)
                if self._rng.random() < 0.05:  # a client that does not believe it
                    await self.post(client, events)
                if len(self._ledger.sent) > _MOST:
                    await asyncio.sleep(_TRICKLE)

    async def _until_answered(
        self, client: httpx.AsyncClient, events: list[Json], stop: asyncio.Event, *, gives_up: bool
    ) -> None:
        deadline = None
        while not await self.post(client, events) and not gives_up:
            await asyncio.sleep(_PAUSE)
            if stop.is_set():
                now = asyncio.get_running_loop().time()
                deadline = deadline or now + PATIENCE
                assert now < deadline, f"no acknowledgement within {PATIENCE} s after the last fault"

    async def post(self, client: httpx.AsyncClient, events: list[Json]) -> bool:
        """Whether it was acknowledged; the books are kept. Anything but 202 and 503 is an AssertionError."""
        body, headers = encode(self._rng, events)
        self._ledger.send(events)
        try:
            response = await client.post("/api/events", content=body, headers=headers)
        except httpx.TransportError:
            self._ledger.lose(events)
            return False
        except asyncio.CancelledError:
            self._ledger.lose(events)
            raise
        if response.status_code == 503:
            assert response.headers["retry-after"].isdigit()
            assert response.headers["content-type"] == "application/problem+json"
            self._ledger.refuse(events)
            return False
        assert response.status_code == 202, response.text
        answer = response.json()
        assert (answer["accepted"] + answer["duplicates"], answer["rejected"]) == (len(events), []), answer
        self._ledger.acknowledge(events)
        return True


@asynccontextmanager
async def load(url: str, ledger: Ledger, rng: Random) -> AsyncIterator[None]:
    """Writers at work; on the way out each gets its last request answered, so nothing may be spoilt any more."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(writer.run(stop)) for writer in _writers(url, ledger, rng)]
        try:
            yield
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        stop.set()


def _writers(url: str, ledger: Ledger, rng: Random) -> Iterator[Writer]:
    return (Writer(url, ledger, Random(rng.random())) for _ in range(WRITERS))
