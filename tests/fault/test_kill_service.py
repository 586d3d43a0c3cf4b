"""kill -9 of the service at any moment, its start included, sometimes with its Valkey."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.fault.case import Case
from tests.fault.servers import embedded
from tests.process import ServiceProcess


async def test_kill_9_of_the_service(case: Case, tmp_path: Path) -> None:
    with embedded(tmp_path) as service:
        async with case.load(service):
            for _ in range(case.form.kills):
                await case.moment()
                await kill(case, service)
                if case.rng.random() < 0.2:
                    await asyncio.to_thread(service.launch)
                    await asyncio.sleep(case.rng.uniform(0.2, 2.5))
                    await kill(case, service)
                await asyncio.to_thread(service.start)
        await case.prove(service)


async def kill(case: Case, service: ServiceProcess) -> None:
    """And its private Valkey, three times in ten."""
    await asyncio.to_thread(service.kill)
    case.faults["kills of the service"] += 1
    valkey = await asyncio.to_thread(service.valkey_pid)
    if valkey and case.rng.random() < 0.3:
        with suppress(ProcessLookupError):
            os.kill(valkey, signal.SIGKILL)
        case.faults["kills of Valkey"] += 1
