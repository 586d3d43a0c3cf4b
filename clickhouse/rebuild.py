"""One partition of one rollup made again, beside the live one, and put in its place.

begin → build → [fence: catch_up → swap] → end. Each step may be cut off anywhere: begun again from the first, what was
left over is dropped. Readers see the old partition until the moment they see the new one.

Why the result is exact though events come in while `build` runs: raw only grows, and staging holds what raw held at
some moments. So where staging has as many views of a site's bucket as raw has events, they are the same events; where
it has not, `catch_up` makes the bucket again. That holds as long as nobody inserts: hence the fence; and as long as no
event was deleted, changed or dropped: hence workers/rebuild.py looks at that (clickhouse/raw.py).

What needs no fence is done before it: `build` compares all of staging, and under the fence only months of raw that have
grown since are compared again. Staging is put in place in as many parts as it has: merging them under the fence took up
to 3 s of 10 M events. A crash in the middle of that leaves some: who began the rebuild begins it again.

Buckets whose events have expired are copied from the live partition, which only grows as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from clickhouse.drift import Drift, compare, unlike
from clickhouse.engine import Engine
from clickhouse.errors import RawExpired, StillDrifting
from clickhouse.fill import fill, held
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.origins import Recipe, Source
from clickhouse.partitions import STAGING, Partition, whole_buckets
from clickhouse.raw import rows_by_month
from clickhouse.shapes import DAY
from clickhouse.spans import BUCKET, MOST, Span, bound, merged, month_of, within
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


@dataclass(frozen=True)
class Built:
    """Staging as far as it could be made beside inserts."""

    left: Span
    """What it lacks."""
    doubtful: list[Span]
    """Buckets that are to be looked at again: other views were in staging than in raw."""
    rows: dict[str, int]
    """Of raw by month, before anything was read of it."""


async def build(engine: Engine, recipe: Recipe, progress: Callable[[int], None] = lambda _: None) -> Built:
    """Fills staging up to the last day there is; the rest is for `catch_up`. `progress`: events read so far.

    That day is the one events come into. A year's bucket that lacks it is completed by it; one that holds half of it
    would have to be made again, from a year of raw.
    """
    whole = recipe.partition.span
    dataset = recipe.partition.grain.dataset
    rows = await rows_by_month(engine, dataset)
    events = await held(engine, dataset, recipe.covered)
    last = max(events.start, (events.end - 1) // DAY * DAY) if events else whole.end
    await _fill(engine, recipe, [Span(whole.start, last)], _counting(rows, progress))
    return Built(Span(last, whole.end), await _wrong(engine, recipe, [Span(whole.start, last)]), rows)


async def catch_up(engine: Engine, recipe: Recipe, built: Built) -> Built:
    """Makes staging equal to what it is made from, and to raw as far as raw covers it. Only while nobody inserts; what
    it returns is good for another try.

    Raises StillDrifting.
    """
    await _fill(engine, recipe, [built.left])
    filled = replace(built, left=Span(recipe.partition.span.end, recipe.partition.span.end))
    suspect = merged([built.left, *built.doubtful, *await grown(engine, recipe, built)])
    # The second: a rollup that it is made from is wrong itself.
    for source in (recipe.source, Source.RAW):
        late = await _wrong(engine, recipe, suspect)
        if not late:
            return filled
        await _make_again(engine, replace(recipe, source=source), late)
    if await _wrong(engine, recipe, suspect):
        raise StillDrifting(f"{recipe.partition.staging} was made while events came in")
    return filled


async def grown(engine: Engine, recipe: Recipe, built: Built) -> list[Span]:
    """The months of raw that events have come into since `build` began."""
    now = await rows_by_month(engine, recipe.partition.grain.dataset)
    return [month_of(int(id_)) for id_ in sorted(now.keys() | built.rows) if now.get(id_) != built.rows.get(id_)]


async def still_wrong(engine: Engine, recipe: Recipe, built: Built) -> Drift | None:
    """What an insert past the fence has spoilt since `build` began, in the partition as it is now."""
    spans = _covered(recipe, await grown(engine, recipe, built))
    return await compare(engine, recipe.partition, spans) if spans else None


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


def _counting(rows: Mapping[str, int], progress: Callable[[int], None]) -> Callable[[Span], None]:
    """For `fill`: as good as the month is long, of which only the first and the last may be read in part."""
    read = 0

    def filled(month: Span) -> None:
        nonlocal read
        read += rows.get(f"{from_epoch_ms(month.start):%Y%m}", 0)
        progress(read)

    return filled


async def _fill(
    engine: Engine, recipe: Recipe, spans: Sequence[Span], filled: Callable[[Span], None] = lambda _: None
) -> None:
    partition = recipe.partition
    for origin in recipe.origins:
        for span in spans:
            asked = Span(max(span.start, origin.span.start), min(span.end, origin.span.end))
            there = (
                await held(engine, partition.grain.dataset, asked, origin.table) if asked.start < asked.end else None
            )
            if there:
                await fill(
                    engine, partition.grain, partition.staging, there, origin.dimension_sets, origin.table, filled
                )


async def _wrong(engine: Engine, recipe: Recipe, suspect: Sequence[Span]) -> list[Span]:
    """The buckets of staging, of those that the spans touch, that differ from raw where raw covers them, and else from
    what they are made from."""
    partition, expired = recipe.partition, recipe.covered.start
    wrong: list[Span] = []
    if spans := _covered(recipe, suspect):
        late = await compare(engine, partition, spans, table=partition.staging)
        wrong += late.spans if late else []
    for origin in recipe.origins:
        if origin.span.end <= expired and any(span.start < expired for span in suspect):
            wrong += await unlike(engine, partition, partition.staging, origin)
    return merged(wrong, MOST)


def _covered(recipe: Recipe, spans: Sequence[Span]) -> list[Span]:
    """The partition's whole buckets that the spans touch, without those whose events have expired."""
    start, end = recipe.covered
    whole = whole_buckets(recipe.partition.grain, [span for span in spans if span.start < span.end])
    cut = (Span(max(span.start, start), min(span.end, end)) for span in whole)
    return [span for span in cut if span.start < span.end]


async def _make_again(engine: Engine, recipe: Recipe, buckets: Sequence[Span]) -> None:
    # One mutation for all: it takes 30 ms, and a second soon after it a second, until the scheduler looks again.
    delete = f"ALTER TABLE {recipe.partition.staging} DELETE WHERE {within('bucket', BUCKET, buckets)}"
    await engine.execute(Statement(f"{delete} SETTINGS mutations_sync = 2", bound(buckets)))
    await _fill(engine, recipe, buckets)
