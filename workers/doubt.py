"""Batches that an engine died on: their rows are looked for one by one, and what they touched is compared with raw.

A token alone does not make sure: on plain MergeTree a kill between the deduplication log and the rename of a part makes
the next try of a batch pass for a repeat, and a table lacks it (2 of 725 batches in 130 kills).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import uuid4

import msgspec

from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.events import Event, insert, known_ids
from clickhouse.spans import Span, days_of, merged
from workers.batches import Batch, block
from workers.fence import Fence
from workers.lease import LeaseError
from workers.metrics import Metrics
from workers.repair import repair
from workers.spool.files import replace_file
from workers.versions import Versions

logger = logging.getLogger(__name__)

# Seconds between two tries to repair: a Redis that is away, another rebuild of the same.
_PAUSE = 5.0

_FILE = "doubts"


async def complete(engine: Engine, batch: Batch, events: Sequence[Event]) -> None:
    """Raw has all events of the batch, which ClickHouse says it has. Rollups may then count some twice.

    Raises ClickHouseError.
    """
    found = await known_ids(engine, events)
    missing = [event for event in events if (event.site, event.event_id) not in found]
    if missing:
        logger.warning("%d events of batch %s were lost by a kill and are inserted again", len(missing), batch.token)
        # Under its own token they would pass for a repeat once more.
        renamed = msgspec.structs.replace(batch, token=f"{batch.token}-{uuid4()}")
        await insert(engine, block(renamed, missing))


class Doubts:
    """Days whose rollups may differ from raw, on disk until they are known not to. One for a process."""

    def __init__(self, engine: Engine, fence: Fence, versions: Versions, metrics: Metrics, folder: Path) -> None:
        """`folder` is that of the process's own spool."""
        self._engine = engine
        self._fence = fence
        self._versions = versions
        self._metrics = metrics
        self._file = folder / _FILE
        self._spans: list[Span] = []
        self._try_at = 0.0

    async def load(self, folder: Path) -> None:
        """Those of a process that is gone, or of this one's predecessor. Raises OSError."""
        try:
            data = await asyncio.to_thread((folder / _FILE).read_bytes)
        except FileNotFoundError:
            return
        await self._keep([*self._spans, *msgspec.msgpack.decode(data, type=list[Span])])

    async def add(self, instants: Iterable[int]) -> None:
        """Of events, epoch milliseconds. Raises OSError."""
        await self._keep([*self._spans, *days_of(instants)])
        self._try_at = 0.0

    async def settle(self, owner: str) -> None:
        """Compares and repairs, now or with a later call; to be called within `fence.flushing(owner)`."""
        if not self._spans or time.monotonic() < self._try_at:
            return
        self._try_at = time.monotonic() + _PAUSE
        try:
            repaired = await repair(self._engine, self._fence, self._versions, self._spans, owner)
            await self._keep([])
        except (ClickHouseError, LeaseError, OSError) as error:
            logger.warning("rollups are compared with raw later: %s", error)
            return
        self._metrics.partitions_repaired.inc(len(repaired))

    @property
    def any(self) -> bool:
        return bool(self._spans)

    async def _keep(self, spans: Sequence[Span]) -> None:
        kept = merged(spans)
        if kept:
            await asyncio.to_thread(replace_file, self._file, msgspec.msgpack.encode(kept))
        else:
            await asyncio.to_thread(self._file.unlink, missing_ok=True)
        self._spans = kept
