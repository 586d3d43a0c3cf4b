"""Which partitions a backfill makes again, in which order, from how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from clickhouse import rebuild
from clickhouse.engine import Engine
from clickhouse.origins import Recipe, Source, finest
from clickhouse.partitions import Partition, by_partition, whole_buckets
from clickhouse.retention import watermark
from clickhouse.rollups import ROLLUPS, VIEWS, grain_called
from clickhouse.shapes import Dataset, Grain
from clickhouse.spans import Span, merged, month_of
from workers.granularity import Granularity, grains_of, granularity_of
from workers.jobs.attributing import attribute_unit
from workers.jobs.job import Unit
from workers.jobs.rebuilding import STAGE, rebuild_unit
from workers.reconcile import depth

Rows = Mapping[tuple[str, str], int]
"""How many there are, by table and partition."""


# What may be made from days.
FROM_ROLLUP = frozenset({Granularity.WEEK, Granularity.MONTH, Granularity.YEAR, Granularity.ALL})


@dataclass(frozen=True)
class Backfill:
    """What is asked for. `span` None: all there is."""

    granularity: Granularity = Granularity.ALL
    dataset: Dataset = VIEWS
    span: Span | None = None
    clear: bool = False
    source: Source = Source.RAW
    with_sources: bool = False
    """First the grains that it is made from, one after the other."""

    @property
    def grains(self) -> list[Grain]:
        """Fine to coarse."""
        wanted = {grain.table for grain in grains_of(self.dataset, self.granularity)}
        grains = grains_of(self.dataset, Granularity.ALL)
        for grain in reversed(grains):
            if self.with_sources and grain.table in wanted:
                wanted.update(feed.source for feed in grain.feeds)
        return [grain for grain in grains if grain.table in wanted]


@dataclass(frozen=True)
class Target:
    """A partition to be made again: the buckets of it that there may be views in, and the rows they are made from."""

    partition: Partition
    source: Source
    buckets: Span
    rows: int


def targets(asked: Backfill, rows: Rows, events: Span | None, expired: int = 0) -> list[Target]:
    """Whole partitions that the asked span touches, fine grains first; none where there is nothing.

    `events` is from the first to the last event; partitions of rollups without any are made too: empty. `expired`:
    events before that instant are gone.

    Where all that a partition holds is in finer ones that this backfill makes from raw before, it is made from those:
    of 50 M events a third of the work. Raw decides all the same, before it is put in place (clickhouse/rebuild.py).
    """
    found: list[Target] = []
    for grain in asked.grains:
        source = asked.source if granularity_of(grain) in FROM_ROLLUP else Source.RAW
        for one in _of_grain(grain, source, asked.span, rows, events):
            found.append(_from_finer(one, found, rows, events) if one.partition.span.start >= expired else one)
    return found


def _from_finer(one: Target, before: Sequence[Target], rows: Rows, events: Span | None) -> Target:
    grain, span = one.partition.grain, one.partition.span
    if grain.from_raw or one.source is Source.ROLLUP or events is None:
        return one
    finer = finest(grain)
    made = merged(each.partition.span for each in before if each.partition.grain.table == finer)
    lacks = not any(
        each.start <= max(span.start, events.start) and min(span.end, events.end) <= each.end for each in made
    )
    return one if lacks else replace(one, source=Source.ROLLUP, rows=_rows_within(span, finer, rows))


async def refuse_expired(engine: Engine, found: Iterable[Target]) -> None:
    """Raises RawExpired where buckets would have to be made from events that are gone."""
    for one in found:
        since = await watermark(engine, one.partition.grain.dataset)
        await rebuild.refuse_expired(engine, Recipe(one.partition, since, one.source))


def units(asked: Backfill, found: Iterable[Target], events: Span | None) -> list[Unit]:
    """What is made from days waits for them, and each grain for its sources where these are asked for. First of all,
    views get the author that is registered for their blog."""
    span = asked.span or events
    rebuilds = [
        rebuild_unit(
            one.partition,
            one.rows,
            clear=asked.clear,
            source=one.source,
            stage=STAGE + (depth(one.partition.grain) if asked.with_sources else one.source is Source.ROLLUP),
        )
        for one in found
    ]
    return [attribute_unit(span, asked.source), *rebuilds] if span and asked.dataset is VIEWS else rebuilds


def _of_grain(grain: Grain, source: Source, span: Span | None, rows: Rows, events: Span | None) -> list[Target]:
    there = {Partition(grain, id_): Partition(grain, id_).span for table, id_ in rows if table == grain.table}
    made: list[Span] = [events] if events else []
    days = grain_called(grain.dataset, "day")
    if source is Source.ROLLUP:
        made += [Partition(days, id_).span for table, id_ in rows if table == days.table]
    for partition, pieces in by_partition(grain, made).items():
        there[partition] = Span(pieces[0].start, pieces[-1].end)
    wanted = whole_buckets(grain, [span])[0] if span else None
    read = finest(grain) if source is Source.ROLLUP else grain.dataset.raw
    return [
        Target(partition, source, buckets, _rows_within(partition.span, read, rows))
        for partition, buckets in sorted(there.items(), key=lambda one: int(one[0].id))
        if wanted is None or (wanted.start < buckets.end and buckets.start < wanted.end)
    ]


def _rows_within(span: Span, table: str, rows: Rows) -> int:
    """As many as there would be if each partition's rows were spread evenly."""
    total = 0.0
    for (name, id_), count in rows.items():
        if name == table:
            held = Partition(ROLLUPS[table], id_).span if table in ROLLUPS else month_of(int(id_))
            common = min(span.end, held.end) - max(span.start, held.start)
            total += count * max(common, 0) / (held.end - held.start)
    return round(total)
