"""A partition held against raw while events come in, and rebuilt where it differs and that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from clickhouse.comparison import Bucket, buckets
from clickhouse.corrections import Looked, Superseded, delete, superseded
from clickhouse.duplicates import flaws
from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms
from clickhouse.partitions import Partition, whole_buckets
from clickhouse.reconciliations import SETTLING, Reconciliation, of_table, put, wrong_spans
from clickhouse.rollups import OF_SAMPLES, VIEWS, grain_of
from clickhouse.shapes import Grain
from clickhouse.spans import MOST, Span, merged
from workers.fence import Fence
from workers.rebuild import rebuild
from workers.versions import ALL_SITES, Versions

logger = logging.getLogger(__name__)


def depth(grain: Grain) -> int:
    """How many rollups lie between it and raw: it is compared after those it is made from."""
    return 0 if grain.from_raw else 1 + depth(grain_of(grain.source))


async def reconcile(
    engine: Engine,
    fence: Fence,
    versions: Versions,
    partition: Partition,
    spans: Sequence[Span],
    now: datetime,
    *,
    since: int = 0,
    repair: bool = False,
) -> Reconciliation:
    """How the partition stands in the buckets that `spans` touch; kept in `reconciliations`. With `repair` it is
    rebuilt where it is wrong, and compared again.

    What was found wrong the last time is looked at again, whatever is asked for: so the latest always tells all that
    is known to be wrong. Buckets whose raw has begun to expire (`since`, epoch ms) are passed over.

    Grains made from others are held against those, once these are compared: a year against twelve months. Where the two
    disagree, or the other is known to be wrong, raw decides.

    Raises: what `rebuild` raises; what was found is kept.
    """
    known = wrong_spans(await _of(engine, partition), partition.grain.table)
    asked = _covered(partition, [*spans, *known], since)
    source = await _source(engine, partition.grain, asked)
    found = _told(partition, await _settled(engine, fence, partition, asked, source), now)
    await put(engine, found)
    if not (repair and found.wrong_buckets):
        return found
    others = "distinct counts" if partition.grain.dataset is VIEWS else "sums and extremes"
    wrong_rows = f"{found.wrong_views} {partition.grain.dataset.name}"
    logger.warning("rebuilding %s: %s and %d %s wrong", partition, wrong_rows, found.wrong_distinct, others)
    try:
        await rebuild(engine, fence, partition)
    finally:
        await versions.bump({ALL_SITES})
    wrong = found.wrong_buckets
    found = _told(partition, await _settled(engine, fence, partition, asked, source), now)
    found = replace(found, repaired=max(0, wrong - found.wrong_buckets))
    await put(engine, found)
    return found


async def reconcile_raw(engine: Engine, month: int, now: datetime) -> Reconciliation:
    """Events that are there twice, in a partition of raw. Inserts go on: a batch's rows come all at once."""
    found = await flaws(engine, month)
    told = Reconciliation(
        VIEWS.raw,
        str(month),
        epoch_ms(now),
        expected=found.events - found.duplicates,
        found=found.events,
        wrong_distinct=found.misnumbered,
        duplicates=found.duplicates,
        examples=found.examples,
    )
    await put(engine, told)
    return told


async def reconcile_samples(
    engine: Engine, month: int, now: datetime, looked: Looked
) -> tuple[Reconciliation, set[int]]:
    """Samples of a partition of raw that later ones correct, and the days of the month they lie in."""
    found = await superseded(engine, month, looked, _mark(now))
    told = _told_samples(month, now, found, set())
    await put(engine, told)
    return told, {day.number for day in found.days}


async def correct(
    engine: Engine, fence: Fence, month: int, days: Collection[int], now: datetime, looked: Looked
) -> Reconciliation:
    """Of each series and time of these days the sample that came last stays; rollups are to be reconciled then. What
    other days need by now is told, and left to who looks next: nobody would rebuild their rollups.

    Raises LeaseError, ClickHouseError.
    """
    async with fence.alone(f"{OF_SAMPLES.raw}[{month}] corrected"):
        told = _told_samples(month, now, await delete(engine, month, days, looked, _mark(now)), days)
        await put(engine, told)
    return told


def _mark(now: datetime) -> int:
    return epoch_ms(now) - SETTLING


def _told_samples(month: int, now: datetime, found: Superseded, gone: Collection[int]) -> Reconciliation:
    """`gone`: days whose surplus was deleted."""
    deleted = sum(day.surplus for day in found.days if day.number in gone)
    rows, left = found.rows - deleted, found.surplus - deleted
    return Reconciliation(
        OF_SAMPLES.raw,
        str(month),
        epoch_ms(now),
        expected=rows - left,
        found=rows,
        duplicates=left,
        examples=found.examples if left else (),
        repaired=deleted,
        settled=found.settled - sum(day.settled for day in found.days if day.number in gone),
    )


async def _of(engine: Engine, partition: Partition) -> list[Reconciliation]:
    return [one for one in await of_table(engine, partition.grain.table) if one.partition == partition.id]


def _covered(partition: Partition, spans: Iterable[Span], since: int) -> list[Span]:
    """Whole buckets of the partition."""
    first, end = max(partition.span.start, partition.grain.ceiling(since)), partition.span.end
    whole = (Span(max(start, first), min(stop, end)) for start, stop in whole_buckets(partition.grain, spans))
    return [span for span in whole if span.start < span.end]


async def _source(engine: Engine, grain: Grain, asked: Sequence[Span]) -> str:
    if grain.from_raw:
        return grain.source
    wrong = wrong_spans(await of_table(engine, grain.source), grain.source)
    overlaps = any(one.start < span.end and span.start < one.end for one in wrong for span in asked)
    return grain.dataset.raw if overlaps else grain.source


async def _settled(
    engine: Engine, fence: Fence, partition: Partition, spans: Sequence[Span], source: str
) -> dict[int, Bucket]:
    """The buckets as they are once nothing is in flight: beside inserts all that agrees is believed, and what differs
    is looked at again under the fence. That is some buckets, not years of raw."""
    if not spans:
        return {}
    found = await buckets(engine, partition, spans, source)
    if wrong := _wrong(partition.grain, found):
        async with fence.closed():
            found = _without(found, wrong) | await buckets(engine, partition, wrong, source)
            raw = partition.grain.dataset.raw
            if source != raw and (wrong := _wrong(partition.grain, found)):
                found = _without(found, wrong) | await buckets(engine, partition, wrong, raw)
    return found


def _wrong(grain: Grain, found: dict[int, Bucket]) -> list[Span]:
    return merged((Span(start, grain.ceiling(start + 1)) for start, one in found.items() if one.wrong), MOST)


def _without(found: dict[int, Bucket], spans: Sequence[Span]) -> dict[int, Bucket]:
    return {start: one for start, one in found.items() if not any(span.start <= start < span.end for span in spans)}


def _told(partition: Partition, found: dict[int, Bucket], now: datetime) -> Reconciliation:
    wrong = [start for start, one in found.items() if one.wrong]
    return Reconciliation(
        partition.grain.table,
        partition.id,
        epoch_ms(now),
        expected=sum(one.expected for one in found.values()),
        found=sum(one.found for one in found.values()),
        wrong_views=sum(one.off for one in found.values()),
        wrong_buckets=len(wrong),
        wrong_distinct=sum(one.distinct for one in found.values()),
        first_wrong=min(wrong, default=0),
        last_wrong=max(wrong, default=0),
    )
