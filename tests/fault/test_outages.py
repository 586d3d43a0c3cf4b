"""ClickHouse or Redis away: ingestion goes on, and later everything is there once."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.servers import embedded, service_on
from workers.queue import open_queue


async def test_clickhouse_away(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with service_on(clickhouse, tmp_path) as service:
        await asyncio.to_thread(clickhouse.kill)
        async with case.load(service):
            await case.acknowledged_during(case.form.outage_seconds)
            await asyncio.to_thread(clickhouse.start)
            case.faults["outages of ClickHouse"] += 1
        await case.prove(service, clickhouse)


async def test_redis_away(case: Case, tmp_path: Path) -> None:
    service = embedded(tmp_path, READERSHIP_REDIS_URL=f"unix://{tmp_path}/nothing.sock")
    try:
        await asyncio.to_thread(service.start, "/healthz")
        async with case.load(service):
            await case.acknowledged_during(case.form.outage_seconds)
        case.faults["outages of Redis"] += 1
        await case.prove(service)
    finally:
        service.end()


async def test_redis_killed(case: Case, tmp_path: Path) -> None:
    async with open_queue(None, tmp_path / "valkey") as redis:
        valkey = (await redis.info("server"))["process_id"]
        with embedded(tmp_path, READERSHIP_REDIS_URL=f"unix://{tmp_path}/valkey/valkey.sock") as service:
            async with case.load(service):
                await case.moment()
                os.kill(valkey, signal.SIGKILL)
                case.faults["kills of Redis"] += 1
                await case.acknowledged_during(case.form.outage_seconds)
            await case.prove(service)
