"""A partition rebuilt while events come in: built beside them, put in place under the fence."""

from __future__ import annotations

import logging

from clickhouse.drift import compare
from clickhouse.engine import Engine
from clickhouse.errors import StillDrifting
from clickhouse.origins import Source
from clickhouse.partitions import Partition
from clickhouse.rebuild import begin, build, catch_up, end, swap
from clickhouse.reconciliations import put_rebuilt
from clickhouse.spans import Span
from workers.fence import Fence

logger = logging.getLogger(__name__)

# Under the fence the first is right, unless somebody inserted past it: Redis was away for them.
_TRIES = 3


async def rebuild(
    engine: Engine,
    fence: Fence,
    partition: Partition,
    *,
    clear: bool = False,
    source: Source = Source.RAW,
) -> None:
    """The partition holds what raw holds. Whatever is raised: the old rows or the new ones are there, and a rebuild
    begun again starts from nothing.

    `clear`: all of it is made anew; without, buckets whose events have expired stay as they are.

    Raises:
        LeaseError: Redis is away, others are at it for too long, or the fence was lost.
        RawExpired: nothing was changed.
        StillDrifting: events went past the fence each time.
        ClickHouseError
    """
    async with fence.alone(partition.staging):
        await begin(engine, partition)
        left = await build(engine, partition)
        for _ in range(_TRIES):
            async with fence.closed():
                await catch_up(engine, partition, left)
                await swap(engine, partition)
                wrong = await compare(engine, partition)
            if wrong is None:
                break
            logger.warning("events came in past the fence, once more: %s", wrong)
            left = Span(partition.span.end, partition.span.end)  # staging has the rest
        await end(engine, partition)
        await put_rebuilt(engine, partition)
    if wrong is not None:
        raise StillDrifting(str(wrong))
