"""After an unclean stop: what the batches in doubt may have spoilt is compared with raw, and rebuilt."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from clickhouse.drift import Drift, drift
from clickhouse.engine import Engine
from clickhouse.errors import StillDrifting
from clickhouse.shapes import Dataset
from clickhouse.spans import Span
from workers.fence import Fence
from workers.rebuild import rebuild
from workers.versions import ALL_SITES, Versions

logger = logging.getLogger(__name__)

# The second finds nothing, unless another process spoilt something meanwhile.
_ROUNDS = 3


async def repair(
    engine: Engine,
    fence: Fence,
    versions: Versions,
    dataset: Dataset,
    spans: Sequence[Span],
    owner: str,
    before: Callable[[Sequence[Span]], Awaitable[None]] | None = None,
) -> list[Drift]:
    """Every rollup agrees with raw over the spans (`days_of` what the batches hold); returns what did not.

    To be called when the batches are in raw: each was tried again, with its token, until ClickHouse had it. A flusher
    may call it within its `fence.flushing(owner)`. The comparison is made under the fence: beside inserts, a batch on
    its way would be taken for a lost one, and could hide one that is lost.

    `before` hears of the partitions that are about to be replaced, whose other days may be spoilt if that is cut off.

    Raises: what `rebuild` and `before` raise; call again later.
    """
    repaired: list[Drift] = []
    async with fence.aside(owner):
        for _ in range(_ROUNDS):
            async with fence.closed():
                wrong = await drift(engine, dataset, spans)
            if not wrong:
                return repaired
            if before:
                await before([one.partition.span for one in wrong])
            for one in wrong:
                logger.warning("rebuilding %s", one)
                try:
                    await rebuild(engine, fence, one.partition)
                finally:
                    # A partition holds all sites, and a distinct count may change where no view was missing.
                    await versions.bump({ALL_SITES})
            repaired += wrong
    raise StillDrifting(f"rebuilt {_ROUNDS} times and still wrong: {wrong[0]}")
