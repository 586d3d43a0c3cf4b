"""Batches that an engine died on: their rows are looked for one by one, and what they touched is compared with raw.

A token alone does not make sure. On plain MergeTree a kill between the deduplication log and the rename of a part makes
the next try of a batch pass for a repeat, and a table lacks it (2 of 725 batches in 130 kills); and the log forgets: it
holds 10,000 blocks, and a power loss may take the last of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from clickhouse.engine import Engine
from clickhouse.errors import ClickHouseError
from clickhouse.shapes import Dataset
from clickhouse.spans import Span, days_of, merged
from workers.fence import Fence
from workers.files import replace_file
from workers.lease import LeaseError
from workers.metrics import Metrics
from workers.repair import repair
from workers.versions import Versions

logger = logging.getLogger(__name__)

# Seconds between two tries to repair: a Redis that is away, another rebuild of the same.
_PAUSE = 5.0

_FILE = "doubts"


class Doubts:
    """Days whose rollups may differ from raw, on disk until they are known not to. One for a process and dataset."""

    def __init__(
        self, engine: Engine, dataset: Dataset, fence: Fence, versions: Versions, metrics: Metrics, folder: Path
    ) -> None:
        """`folder` is that of the process's own spool."""
        self._engine = engine
        self._dataset = dataset
        self._fence = fence
        self._versions = versions
        self._metrics = metrics
        self._file = folder / _FILE
        self._spans: list[Span] = []
        self._try_at = 0.0
        self._settling = asyncio.Lock()
        self._writing = asyncio.Lock()

    async def load(self, folder: Path) -> None:
        """Those of this process's predecessor, to be called before anything is added, and then of others. Raises
        OSError."""
        try:
            data = await asyncio.to_thread((folder / _FILE).read_bytes)
        except FileNotFoundError:
            return
        await self._also(msgspec.msgpack.decode(data, type=list[Span]))

    async def add(self, instants: Iterable[int]) -> None:
        """Of rows, epoch milliseconds. Raises OSError."""
        await self._also(days_of(instants))
        self._try_at = 0.0

    async def settle(self, owner: str) -> None:
        """Compares and repairs, now or with a later call; to be called within `fence.flushing(owner)`."""
        async with self._settling:
            if self._spans and time.monotonic() >= self._try_at:
                await self._settle(owner)

    async def _settle(self, owner: str) -> None:
        self._try_at = time.monotonic() + _PAUSE
        spans = self._spans
        try:
            repaired = await repair(
                self._engine, self._fence, self._versions, self._dataset, spans, owner, before=self._also
            )
            # What was replaced is compared as a whole with the next call: others may have inserted past the fence.
            self._try_at = 0.0
            await self._settled(spans)
        except (ClickHouseError, LeaseError, OSError) as error:
            logger.warning("rollups are compared with raw later: %s", error)
        else:
            self._metrics.partitions_repaired.inc(len(repaired))

    @property
    def any(self) -> bool:
        return bool(self._spans)

    async def _also(self, spans: Sequence[Span]) -> None:
        async with self._writing:
            kept = merged([*self._spans, *spans])
            await asyncio.to_thread(replace_file, self._file, msgspec.msgpack.encode(kept))
            self._spans = kept

    async def _settled(self, spans: Sequence[Span]) -> None:
        """Unless others came to them meanwhile."""
        async with self._writing:
            if self._spans == spans:
                await asyncio.to_thread(self._file.unlink, missing_ok=True)
                self._spans = []
