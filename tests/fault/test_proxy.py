"""Connections to ClickHouse that break at every point of a request."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.proxy import Proxy
from tests.fault.servers import service_on


async def test_broken_connections(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    async with Proxy(clickhouse.http_port, case.rng, case.form.stall_seconds) as proxy:
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
