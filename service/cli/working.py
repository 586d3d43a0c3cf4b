"""`readership worker`."""

from __future__ import annotations

import asyncio
import logging
import signal

from service.logs import configure_logging
from service.settings import Settings, load_settings, unknown_settings

logger = logging.getLogger(__name__)


def worker() -> None:
    """Do the jobs of a service: backfills and their like. Where the queue is private, `serve` does them itself."""
    settings = load_settings()
    configure_logging(settings)
    for line in unknown_settings():
        logger.warning("%s", line)
    asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    """Until SIGTERM or SIGINT; what runs then is given back, for the next worker to begin again."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    from service.state import open_worker  # late, as in serving.py

    async with open_worker(settings):
        logger.info("working on %s, %d units at a time", settings.dsn.database, settings.worker_jobs)
        await told.wait()
