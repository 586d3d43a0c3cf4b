"""A partition rebuilt while events come in: built beside them, put in place under the fence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from clickhouse.drift import Drift
from clickhouse.engine import Engine
from clickhouse.errors import RawChanging, StillDrifting
from clickhouse.mutations import settled
from clickhouse.origins import Recipe, Source
from clickhouse.partitions import Partition
from clickhouse.raw import Raw, examine
from clickhouse.rebuild import Built, begin, build, catch_up, drop, end, refuse_expired, stagings, still_wrong, swap
from clickhouse.reconciliations import put_rebuilt
from clickhouse.shapes import Dataset
from workers.fence import Fence
from workers.lease import Taken

logger = logging.getLogger(__name__)

# Under the fence the first is right, unless somebody inserted past it: Redis was away for them.
_TRIES = 3

# Rebuilds begun of which each met another change of raw.
_BEGUN = 3


async def rebuild(
    engine: Engine,
    fence: Fence,
    partition: Partition,
    *,
    clear: bool = False,
    source: Source = Source.RAW,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """The partition holds what raw holds. Whatever is raised: the old rows or the new ones are there, and a rebuild
    begun again starts from nothing.

    Buckets whose events have expired are kept (of `source` ROLLUP: made from it); with `clear` that is refused.
    `progress` hears how many events were read.

    Raises:
        LeaseError: Redis is away, others are at it for too long, or the fence was lost.
        RawExpired: nothing was changed.
        RawChanging: events are being deleted or changed again and again; nothing was changed.
        StillDrifting: events went past the fence each time.
        ClickHouseError
    """
    async with fence.alone(partition.staging):
        for _ in range(_BEGUN):
            raw = await _at_rest(engine, partition.grain.dataset)
            recipe = Recipe(partition, raw.since, source)
            if clear:
                await refuse_expired(engine, recipe)
            await begin(engine, partition)
            built = await build(engine, recipe, progress)
            if await _put_in_place(engine, fence, recipe, built, raw):
                await end(engine, partition)
                await put_rebuilt(engine, partition)
                return
            logger.warning("events were deleted, changed or dropped meanwhile, %s is begun anew", partition)
        await end(engine, partition)
    raise RawChanging(f"events were deleted, changed or dropped during each of {_BEGUN} rebuilds of {partition}")


async def _put_in_place(engine: Engine, fence: Fence, recipe: Recipe, built: Built, raw: Raw) -> bool:
    """False: raw is not what it was, and what was built from it may be wrong; nothing was changed."""
    partition = recipe.partition
    wrong: Drift | None = None
    for _ in range(_TRIES):
        async with fence.closed():
            if not (await examine(engine, partition.grain.dataset)).only_grew_since(raw):
                return False
            built = await catch_up(engine, recipe, built)
            await _uncut(swap(engine, partition))
            wrong = await still_wrong(engine, recipe, built)
        if wrong is None:
            return True
        logger.warning("events came in past the fence, once more: %s", wrong)
    await end(engine, partition)
    raise StillDrifting(str(wrong))


async def _uncut(step: Coroutine[Any, Any, None]) -> None:
    """Whoever cancels it waits for its end: a swap that goes on when the fence is open takes inserts with it."""
    task = asyncio.create_task(step)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait([task])


async def left_over(engine: Engine, fence: Fence) -> list[str]:
    """Drops staging tables that nobody is filling: of rebuilds that were cut off and not begun again. Returns them.

    Raises Away, ClickHouseError.
    """
    dropped = []
    for table in await stagings(engine):
        # Nobody else has it: a rebuild of the partition that begins now waits, and finds none.
        with suppress(Taken):
            async with fence.alone(table, wait=0):
                await drop(engine, table)
                dropped.append(table)
    return dropped


async def _at_rest(engine: Engine, dataset: Dataset) -> Raw:
    """Raw when no mutation is at it. Raises Unavailable."""
    while (raw := await examine(engine, dataset)).unfinished:
        await settled(engine, dataset)
    return raw
