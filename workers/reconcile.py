"""A partition held against raw while events come in, and rebuilt where it differs and that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from clickhouse import corrections
from clickhouse.comparison import Bucket, buckets
from clickhouse.duplicates import Flaws, flaws
from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms
from clickhouse.partitions import Partition, whole_buckets
from clickhouse.reconciliations import Reconciliation, of_table, put, wrong_spans
from clickhouse.rollups import OF_SAMPLES, VIEWS, grain_of
from clickhouse.shapes import Dataset, Grain
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
    logger.warning(
        *("rebuilding %s: %d %s and %d %s wrong", partition, found.wrong_views, partition.grain.dataset.name),
        *(found.wrong_distinct, "distinct counts" if partition.grain.dataset is VIEWS else "sums and extremes"),
    )
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
    return await _tell(engine, VIEWS, month, now, await flaws(engine, month))


async def reconcile_samples(engine: Engine, month: int, now: datetime, since: int) -> tuple[Reconciliation, list[Span]]:
    """Samples of a partition of raw that later ones correct, and the days they lie in. `since`, as in `superseded`."""
    found = await corrections.superseded(engine, month, since)
    told = await _tell(engine, OF_SAMPLES, month, now, await corrections.flaws(engine, month, found))
    return told, corrections.days(found)


async def correct(engine: Engine, month: int, now: datetime, since: int) -> Reconciliation:
    """Of each series and time the sample that came last stays. Rollups are to be reconciled then."""
    found = await corrections.superseded(engine, month, since)
    await corrections.delete(engine, month, found)
    left = await corrections.superseded(engine, month, since)
    about = await corrections.flaws(engine, month, left)
    return await _tell(engine, OF_SAMPLES, month, now, about, repaired=len(found) - len(left))


async def _tell(
    engine: Engine, dataset: Dataset, month: int, now: datetime, found: Flaws, repaired: int = 0
) -> Reconciliation:
    reconciliation = Reconciliation(
        dataset.raw,
        str(month),
        epoch_ms(now),
        expected=found.events - found.duplicates,
        found=found.events,
        wrong_distinct=found.misnumbered,
        duplicates=found.duplicates,
        examples=found.examples,
        repaired=repaired,
    )
    await put(engine, reconciliation)
    return reconciliation


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
