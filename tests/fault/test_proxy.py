"""Connections to ClickHouse that break at every point of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.proxy import Proxy
from tests.fault.servers import service_on


@asynccontextmanager
async def kept_running(case: Case, clickhouse: ClickHouseServer) -> AsyncIterator[None]:
    """Starts the server again when it crashes, as its operator would.

    libchdb 26.7.3 aborts (SIGABRT, an empty log) in most runs of this test; single resets alone do not do it.
    """
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            if clickhouse.has_crashed:
                case.faults["crashes of ClickHouse"] += 1
                await asyncio.to_thread(clickhouse.start)
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 0.2)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        try:
            yield
        finally:
            done.set()


async def test_broken_connections(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    async with (
        kept_running(case, clickhouse),
        Proxy(clickhouse.http_port, case.rng, case.form.stall_seconds) as proxy,
    ):
        service = service_on(clickhouse, tmp_path, proxy.port)
        try:
            # In a thread: the proxy runs on this one's event loop.
            await asyncio.to_thread(service.start)
            async with case.load(service):
                proxy.breaking = True
                await asyncio.sleep(case.form.proxy_seconds)
                proxy.breaking = False
            case.faults.update(proxy.faults)
            await case.prove(service, clickhouse)
        finally:
            service.end()
