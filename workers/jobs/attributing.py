"""The task `attribute`: events of re-assigned and late-registered blogs go to the author that is registered now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from clickhouse.attribution import move, to_move
from clickhouse.origins import Source
from clickhouse.partitions import by_partition
from clickhouse.rollups import GRAINS
from clickhouse.spans import Span
from workers.jobs.job import Unit, Value
from workers.jobs.rebuilding import STAGE as REBUILD
from workers.jobs.rebuilding import rebuild_unit
from workers.jobs.work import Outcome, Work

STAGE = 0


def attribute_unit(span: Span, source: Source = Source.RAW) -> Unit:
    """The first unit of a backfill; `source` is where its rebuilds take their rows from."""
    arguments: dict[str, Value] = {"start": span.start, "end": span.end, "source": source.value, "months": ""}
    return Unit("attribute", "attribute", "attribute", STAGE, arguments)


async def attribute(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Moves the events of `months` once the rebuilds that follow from that are written down: in the ledger they outlive
    whatever ends this, raw does not tell afterwards which months were changed.

    Raises LeaseError, ClickHouseError.
    """
    span = Span(int(arguments["start"]), int(arguments["end"]))
    known = spans_in(str(arguments["months"]))
    async with work.fence.alone("attribution"):
        months = await to_move(work.engine, [span])
        if not set(months) <= set(known):
            again = {**arguments, "months": as_text([*known, *months])}
            name = f"attribute {len(set(known) | set(months))} months"
            following = Unit(name, "attribute", "attribute", STAGE, again, sum(months.values()))
            return Outcome(rows=0, more=(following, *_rebuilds(months, Source(str(arguments["source"])))))
        if not months:
            return Outcome(rows=0)
        await move(work.engine, months)
    count = sum(months.values())
    progress(count)
    return Outcome(rows=count, note=f"{count} events went to the author their blog is registered with")


def _rebuilds(months: Mapping[Span, int], source: Source) -> list[Unit]:
    """Of every grain: else what is answered would depend on which one is read."""
    rows = sum(months.values())
    partitions = [partition for grain in GRAINS for partition in by_partition(grain, months)]
    units = [rebuild_unit(partition, rows) for partition in partitions]
    if source is Source.RAW:
        return units  # those that the backfill has by itself do as well
    # Its own may be made from a rollup that is not made again yet.
    return [replace(unit, name=f"{unit.name} from raw", stage=REBUILD + 2) for unit in units]


def as_text(spans: Sequence[Span]) -> str:
    """Of a unit's argument; `spans_in` reads it."""
    return " ".join(f"{span.start}-{span.end}" for span in sorted(set(spans)))


def spans_in(text: str) -> list[Span]:
    return [Span(*map(int, one.split("-"))) for one in text.split()]
