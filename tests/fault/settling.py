"""The end of a fault: everything acknowledged becomes visible, before anybody looks into ClickHouse."""

from __future__ import annotations

import asyncio
from random import Random

import httpx

from tests.fault.load import PATIENCE, SITES, make_events
from tests.fault.oracle import Ledger


async def settle(url: str, ledger: Ledger, rng: Random) -> None:
    """Returns when everything acknowledged is visible and the counts have come to rest.

    AssertionError when they stand still for PATIENCE before that; nothing may be spoilt any more. However much a
    starved machine has left in the spool, some of it is stored in that time.
    """
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        async with asyncio.timeout(PATIENCE):
            await _store_one_more(client, ledger, rng)
        best, moved = -1, asyncio.get_running_loop().time()
        before = -1
        while (views := await _views(client)) < len(ledger.acknowledged) or views != before:
            before = views
            now = asyncio.get_running_loop().time()
            if views > best:
                best, moved = views, now
            assert now < moved + PATIENCE, f"stuck at {views} of {len(ledger.acknowledged)} for {PATIENCE} s"
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
