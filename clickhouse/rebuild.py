"""One partition of one rollup made again, beside the live one, and put in its place.

begin → build → [fence: catch_up → swap] → end. Each step may be cut off anywhere: begun again from the first, what was
left over is dropped. Readers see the old partition until the moment they see the new one.

Why the result is exact though events come in while `build` runs: raw only grows, and staging holds what raw held at
some moments. So where staging has as many views of a site's bucket as raw has events, they are the same events; where
it has not, `catch_up` makes the bucket again. That holds as long as nobody inserts: hence the fence; and as long as no
event was deleted, changed or dropped: hence workers/rebuild.py looks at that (clickhouse/raw.py).

Buckets whose events have expired are copied from the live partition, which only grows as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clickhouse.drift import compare, unlike
from clickhouse.engine import Engine
from clickhouse.errors import RawExpired, StillDrifting
from clickhouse.fill import fill, held
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.origins import Recipe, Source
from clickhouse.partitions import STAGING, Partition
from clickhouse.rollups import DAY
from clickhouse.spans import BUCKET, MOST, Span, bound, merged, within
from clickhouse.statement import Statement


async def begin(engine: Engine, partition: Partition) -> None:
    """An empty staging table; one left over is dropped."""
    await end(engine, partition)
    await engine.execute(Statement(f"CREATE TABLE {partition.staging} AS {partition.grain.table}"))
    # Two fills of the same bucket may make the same block, and both count.
    await engine.execute(
        Statement(f"ALTER TABLE {partition.staging} MODIFY SETTING non_replicated_deduplication_window = 0")
    )


async def refuse_expired(engine: Engine, recipe: Recipe) -> None:
    """Raises RawExpired where rows are there that can only be kept: what they were made of is gone."""
    grain = recipe.partition.grain
    for one in recipe.origins:
        if one.table != grain.table:
            continue
        buckets = f"""\
SELECT count(), toInt64(toUnixTimestamp(min(bucket))) * 1000, toInt64(toUnixTimestamp(max(bucket))) * 1000
FROM {grain.table}
WHERE toInt8(dimension_set) IN ({", ".join(str(each.id) for each in one.dimension_sets)})
  AND {within("bucket", BUCKET, [one.span])}"""
        count, first, last = (await engine.select(Statement(buckets, bound([one.span]))))[0]
        if count:
            days = " to ".join(rfc3339(from_epoch_ms(bucket)) for bucket in (first, last))
            names = ", ".join(each.name for each in one.dimension_sets)
            raise RawExpired(
                f"{recipe.partition} is not cleared: the events of its buckets from {days} have expired, which"
                f" {names} are made of; without clear these stay as they are"
            )


async def build(engine: Engine, recipe: Recipe) -> Span:
    """Fills staging up to the last day there is, and returns what is left for `catch_up`.

    That day is the one events come into. A year's bucket that lacks it is completed by it; one that holds half of it
    would have to be made again, from a year of raw.
    """
    whole = recipe.partition.span
    events = await held(engine, recipe.covered)
    last = max(events.start, (events.end - 1) // DAY * DAY) if events else whole.end
    await _fill(engine, recipe, [Span(whole.start, last)])
    return Span(last, whole.end)


async def catch_up(engine: Engine, recipe: Recipe, left: Span) -> None:
    """Makes staging equal to what it is made from, and to raw as far as raw covers it, and one part. Only while nobody
    inserts. Raises StillDrifting."""
    await _fill(engine, recipe, [left])
    # The second: a rollup that it is made from is wrong itself.
    for source in (recipe.source, Source.RAW):
        late = await _wrong(engine, recipe)
        if not late:
            break
        await _make_again(engine, replace(recipe, source=source), late)
    else:
        if await _wrong(engine, recipe):
            raise StillDrifting(f"{recipe.partition.staging} was made while events came in")
    # Several parts are put in place one after the other: a crash between them would leave some.
    await engine.execute(Statement(f"OPTIMIZE TABLE {recipe.partition.staging} FINAL"))


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
    await drop(engine, partition.staging)


async def stagings(engine: Engine) -> list[str]:
    """The staging tables that are there."""
    rows = await engine.select(
        Statement(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})",
            {"prefix": STAGING},
        )
    )
    return [row[0] for row in rows]


async def drop(engine: Engine, staging: str) -> None:
    await engine.execute(Statement(f"DROP TABLE IF EXISTS {staging} SYNC"))


async def _fill(engine: Engine, recipe: Recipe, spans: Sequence[Span]) -> None:
    partition = recipe.partition
    for origin in recipe.origins:
        for span in spans:
            asked = Span(max(span.start, origin.span.start), min(span.end, origin.span.end))
            there = await held(engine, asked, origin.table) if asked.start < asked.end else None
            if there:
                await fill(engine, partition.grain, partition.staging, there, origin.dimension_sets, origin.table)


async def _wrong(engine: Engine, recipe: Recipe) -> list[Span]:
    """The buckets of staging that differ from raw where raw covers them, and else from what they are made from."""
    partition, covered = recipe.partition, recipe.covered
    late = await compare(engine, partition, [covered], table=partition.staging)
    wrong = late.spans if late else []
    for origin in recipe.origins:
        if origin.span.end <= covered.start:
            wrong += await unlike(engine, partition, partition.staging, origin)
    return merged(wrong, MOST)


async def _make_again(engine: Engine, recipe: Recipe, buckets: Sequence[Span]) -> None:
    # One mutation for all: it takes 30 ms, and a second soon after it a second, until the scheduler looks again.
    delete = f"ALTER TABLE {recipe.partition.staging} DELETE WHERE {within('bucket', BUCKET, buckets)}"
    await engine.execute(Statement(f"{delete} SETTINGS mutations_sync = 2", bound(buckets)))
    await _fill(engine, recipe, buckets)
