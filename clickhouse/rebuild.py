"""One partition of one rollup made again from raw, beside the live one, and put in its place.

begin → build → [fence: catch_up → swap] → end. Each step may be cut off anywhere: begun again from the first, what was
left over is dropped. Readers see the old partition until the moment they see the new one.

Why the result is exact though events come in while `build` runs: raw only grows, and staging holds what raw held at
some moments. So where staging has as many views of a site's bucket as raw has events, they are the same events; where
it has not, `catch_up` makes the bucket again. That holds as long as nobody inserts: hence the fence.
"""

from __future__ import annotations

from clickhouse.drift import NOTHING_EXPIRED, compare
from clickhouse.engine import Engine
from clickhouse.errors import RawExpired, StillDrifting
from clickhouse.existing import Existing
from clickhouse.fill import fill, held
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.partitions import Partition
from clickhouse.rollups import DAY, EVENTS
from clickhouse.spans import BUCKET, MOST, Span, bound, merged, within
from clickhouse.statement import Statement


async def begin(engine: Engine, partition: Partition, existing: Existing = NOTHING_EXPIRED) -> None:
    """An empty staging table; one left over is dropped. Raises RawExpired."""
    await _refuse_expired(engine, partition, existing.since.get(EVENTS, 0))
    await end(engine, partition)
    await engine.execute(Statement(f"CREATE TABLE {partition.staging} AS {partition.grain.table}"))
    # Two fills of the same bucket may make the same block, and both count.
    await engine.execute(
        Statement(f"ALTER TABLE {partition.staging} MODIFY SETTING non_replicated_deduplication_window = 0")
    )


async def build(engine: Engine, partition: Partition) -> Span:
    """Fills staging up to the last day there is, and returns what is left for `catch_up`.

    That day is the one events come into. A year's bucket that lacks it is completed by it; one that holds half of it
    would have to be made again, from a year of raw.
    """
    span = await held(engine, partition.span)
    if span is None:
        return partition.span
    last = max(span.start, (span.end - 1) // DAY * DAY)
    await fill(engine, partition.grain, partition.staging, Span(span.start, last))
    return Span(last, partition.span.end)


async def catch_up(engine: Engine, partition: Partition, left: Span) -> None:
    """Makes staging equal to raw, and one part. Only while nobody inserts. Raises StillDrifting."""
    span = await held(engine, left) if left.start < left.end else None
    if span:
        await fill(engine, partition.grain, partition.staging, span)
    late = await compare(engine, partition, table=partition.staging)
    if late:
        await _make_again(engine, partition, merged(late.spans, MOST))
        if await compare(engine, partition, table=partition.staging):
            raise StillDrifting(f"{partition.staging} was made while events came in")
    # Several parts are put in place one after the other: a crash between them would leave some.
    await engine.execute(Statement(f"OPTIMIZE TABLE {partition.staging} FINAL"))


async def swap(engine: Engine, partition: Partition) -> None:
    """The live partition becomes what staging holds; views do not see it. Only while nobody inserts."""
    table = partition.grain.table
    parts = await engine.select(
        Statement(
            "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}",
            {"table": partition.staging},
        )
    )
    if parts[0][0]:
        replace = f"ALTER TABLE {table} REPLACE PARTITION ID '{partition.id}' FROM {partition.staging}"
        await engine.execute(Statement(replace))
    else:
        await engine.execute(Statement(f"ALTER TABLE {table} DROP PARTITION ID '{partition.id}'"))


async def end(engine: Engine, partition: Partition) -> None:
    """Drops staging, where there is one."""
    await engine.execute(Statement(f"DROP TABLE IF EXISTS {partition.staging} SYNC"))


async def _make_again(engine: Engine, partition: Partition, buckets: list[Span]) -> None:
    # One mutation for all: it takes 30 ms, and a second soon after it a second, until the scheduler looks again.
    delete = f"ALTER TABLE {partition.staging} DELETE WHERE {within('bucket', BUCKET, buckets)}"
    await engine.execute(Statement(f"{delete} SETTINGS mutations_sync = 2", bound(buckets)))
    for span in buckets:
        events = await held(engine, span)
        if events:
            await fill(engine, partition.grain, partition.staging, events)


async def _refuse_expired(engine: Engine, partition: Partition, since: int) -> None:
    """`since`: the first instant (epoch ms) whose events have not expired."""
    grain, span = partition.grain, partition.span
    gone = [Span(span.start, min(grain.ceiling(since), span.end))]
    if gone[0].end <= span.start:
        return
    buckets = f"""\
SELECT count(), toInt64(toUnixTimestamp(min(bucket))) * 1000, toInt64(toUnixTimestamp(max(bucket))) * 1000
FROM {grain.table}
WHERE {within("bucket", BUCKET, gone)}"""
    count, first, last = (await engine.select(Statement(buckets, bound(gone))))[0]
    if count:
        days = " to ".join(rfc3339(from_epoch_ms(bucket)) for bucket in (first, last))
        raise RawExpired(f"{partition} is not rebuilt: the events of its buckets from {days} have expired")
