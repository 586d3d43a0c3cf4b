"""The task `rebuild`: one partition of one rollup."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clickhouse.origins import Source
from clickhouse.partitions import Partition
from clickhouse.rollups import GRAINS
from workers.granularity import GRANULARITY_OF
from workers.jobs.job import Unit, Value
from workers.jobs.work import Outcome, Work
from workers.rebuild import rebuild
from workers.versions import ALL_SITES

STAGE = 1


def rebuild_unit(
    partition: Partition,
    rows: int,
    *,
    clear: bool = False,
    source: Source = Source.RAW,
    stage: int = STAGE,
) -> Unit:
    """`rows`: how many it will read. Shown by its granularity."""
    arguments: dict[str, Value] = {"grain": partition.grain.name, "partition": partition.id, "clear": clear}
    arguments["source"] = source.value
    return Unit(str(partition), "rebuild", GRANULARITY_OF[partition.grain.name], stage, arguments, rows)


async def rebuild_partition(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Raises what `rebuild` raises."""
    grain = next(grain for grain in GRAINS if grain.name == arguments["grain"])
    partition = Partition(grain, str(arguments["partition"]))
    clear, source = bool(arguments["clear"]), Source(str(arguments["source"]))
    try:
        await rebuild(work.engine, work.fence, partition, clear=clear, source=source)
    finally:
        # A partition holds all sites, and a distinct count may change where no view was missing.
        await work.versions.bump({ALL_SITES})
    return Outcome()
