"""The end of a fault: everything acknowledged becomes visible, before anybody looks into ClickHouse."""

from __future__ import annotations

import asyncio
from random import Random

import httpx

from tests.fault.load import PATIENCE, SITES, make_events
from tests.fault.oracle import Ledger


async def settle(url: str, ledger: Ledger, rng: Random) -> None:
    """Returns when a last event is stored, and with it all before it, and the counts have come to rest.

    AssertionError when that takes longer than PATIENCE; nothing may be spoilt any more.
    """
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        async with asyncio.timeout(PATIENCE):
            await _store_one_more(client, ledger, rng)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        before = -1
        while (views := await _views(client)) < len(ledger.acknowledged) or views != before:
            before = views
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"{views} of {len(ledger.acknowledged)} are visible after {PATIENCE} s"
            await asyncio.sleep(0.2)


async def _store_one_more(client: httpx.AsyncClient, ledger: Ledger, rng: Random) -> None:
    events = make_events(rng, 1)
    ledger.send(events)
    while True:
        response = await client.post("/api/events", params={"wait": "stored"}, json=events)
        if response.status_code == 202:
            ledger.acknowledge(events)
            return
        assert response.status_code == 503, response.text
        ledger.lose(events)  # asked to wait, a 503 may come from the wait and not from the taking
        await asyncio.sleep(0.2)


async def _views(client: httpx.AsyncClient) -> int:
    views = 0
    for site in SITES:
        response = await client.get("/api/analytics/blog-views/country", params={"site": site})
        if response.status_code != 200:
            assert response.status_code == 503, response.text
            return -1
        views += sum(row["z"] for row in response.json()["results"])
    return views
