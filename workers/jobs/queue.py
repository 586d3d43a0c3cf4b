"""What carries units to workers: arq, which knows no more than "run this unit of this job".

What it forgets, and what Redis loses, is put there again by the worker's sweep: the ledger is the truth.
"""

from __future__ import annotations

import json
import logging
import math
import time
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from workers.jobs.ledger import Due

logger = logging.getLogger(__name__)

RUN = "run"

_SILENCE = 60.0  # seconds between two lines of log


class UnitQueue:
    """Every name holds the database's: services of several databases may share a Redis."""

    def __init__(self, redis: Redis, database: str) -> None:
        self.name = f"readership:jobs:{database}"
        self.arq = ArqRedis(
            redis.connection_pool, job_serializer=pack, job_deserializer=json.loads, default_queue_name=self.name
        )
        self._silent_until = -math.inf

    def lease_of(self, job: str, unit: str) -> str:
        """What the one who does the unit holds."""
        return f"{self.name}:{job}:{unit}"

    async def put(self, due: list[Due]) -> None:
        """Those that nobody does and that are not there already. Redis away: none, and no error."""
        if not due:
            return
        try:
            held = await self.arq.mget([self.lease_of(one.job, one.state.unit.name) for one in due])
            for one, holder in zip(due, held, strict=True):
                if holder is None:
                    await self._put(one)
        except (RedisError, OSError) as error:
            if time.monotonic() >= self._silent_until:
                self._silent_until = time.monotonic() + _SILENCE
                logger.warning("jobs wait, Redis is away: %s", str(error) or type(error).__name__)

    async def _put(self, one: Due) -> None:
        unit = one.state.unit.name
        # With the attempt: arq takes no id twice while it remembers it.
        await self.arq.enqueue_job(RUN, one.job, unit, _job_id=f"{self.name}:{one.job}:{unit}:{one.state.attempt}")


def pack(job: dict[str, Any]) -> bytes:
    """JSON; what is none, such as an error of arq's own, as text."""
    return json.dumps(job, default=str).encode()
