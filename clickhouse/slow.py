"""What takes minutes is named in the log while it does: a statement that never ends would be a job that never does, and
nobody could tell why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# Seconds until the first line; then after twice as many, and so on. A month of raw is filled in a few.
SLOW = 60.0

_SHOWN = 300  # characters


@contextmanager
def told_when_slow(sql: str) -> Iterator[None]:
    """For the time that the body waits for the statement."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def tell(seconds: float) -> None:
        nonlocal handle
        logger.warning("not ended after %g seconds: %s", seconds, " ".join(sql.split())[:_SHOWN])
        handle = loop.call_later(seconds, tell, 2 * seconds)

    handle = loop.call_later(SLOW, tell, SLOW)
    try:
        yield
    finally:
        handle.cancel()
