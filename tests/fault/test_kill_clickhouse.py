"""kill -9 of the ClickHouse server, alone and together with the service."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.servers import service_on


async def test_kill_9_of_clickhouse(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with service_on(clickhouse, tmp_path) as service:
        async with case.load(service):
            for _ in range(case.form.kills):
                await case.moment()
                await asyncio.to_thread(clickhouse.kill)
                case.faults["kills of ClickHouse"] += 1
                await asyncio.sleep(case.rng.uniform(0, 0.3))
                await asyncio.to_thread(clickhouse.start)
        assert service.is_running
        await case.prove(service, clickhouse)


async def test_kill_9_of_both(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with service_on(clickhouse, tmp_path) as service:
        async with case.load(service):
            for _ in range(case.form.kills_of_both):
                await case.moment()
                for kill in case.rng.sample([service.kill, clickhouse.kill], 2):
                    await asyncio.to_thread(kill)
                    await asyncio.sleep(case.rng.choice([0, 0.05]))
                case.faults["kills of both"] += 1
                await asyncio.to_thread(clickhouse.start)
                await asyncio.to_thread(service.start)
        await case.prove(service, clickhouse)
