"""The task `rebuild`: one partition of one rollup."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from clickhouse.errors import ClickHouseError
from clickhouse.origins import Source
from clickhouse.partitions import Partition
from clickhouse.rebuild import end
from clickhouse.rollups import grain_of
from workers.granularity import granularity_of
from workers.jobs.job import Unit, Value
from workers.jobs.work import Outcome, Work
from workers.lease import LeaseError
from workers.rebuild import rebuild
from workers.versions import ALL_SITES

STAGE = 1

# Seconds; a month of raw is filled in a few.
_CLEARING = 10.0


def rebuild_unit(
    partition: Partition,
    rows: int,
    *,
    clear: bool = False,
    source: Source = Source.RAW,
    stage: int = STAGE,
) -> Unit:
    """`rows`: how many it will read. Shown by its granularity."""
    arguments: dict[str, Value] = {"table": partition.grain.table, "partition": partition.id, "clear": clear}
    arguments["source"] = source.value
    return Unit(str(partition), "rebuild", granularity_of(partition.grain), stage, arguments, rows)


async def rebuild_partition(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Raises what `rebuild` raises."""
    partition = Partition(grain_of(str(arguments["table"])), str(arguments["partition"]))
    clear, source = bool(arguments["clear"]), Source(str(arguments["source"]))
    try:
        await rebuild(work.engine, work.fence, partition, clear=clear, source=source, progress=progress)
    except asyncio.CancelledError:
        await _clear_away(work, partition)
        raise
    finally:
        # A partition holds all sites, and a distinct count may change where no view was missing.
        await work.versions.bump({ALL_SITES})
    return Outcome()


async def _clear_away(work: Work, partition: Partition) -> None:
    """Drops staging, which waits for what still fills it; not that of who is at it now. What is left over is dropped
    when the partition is rebuilt the next time."""
    with suppress(LeaseError, ClickHouseError, TimeoutError):
        async with asyncio.timeout(_CLEARING), work.fence.alone(partition.staging):
            await end(work.engine, partition)
