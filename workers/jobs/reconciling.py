"""The tasks `reconcile`, a partition of a rollup, and `reconcile_raw`, a month of raw; and which there are to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clickhouse.drift import everything
from clickhouse.duplicates import raw_months
from clickhouse.engine import Engine
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.partitions import Partition, by_partition
from clickhouse.reconciliations import Reconciliation
from clickhouse.retention import watermark
from clickhouse.rollups import DATASETS, dataset_called, grain_of, grains_of
from clickhouse.shapes import Dataset
from clickhouse.spans import Span, month_of
from workers.jobs.job import Unit, Value
from workers.jobs.work import Outcome, Work
from workers.reconcile import depth, reconcile, reconcile_raw

# Raw first: what is there twice goes before rollups are held against it.
_RAW, _ROLLUPS = 1, 2


def parameters(asked: Span | None, *, repair: bool) -> dict[str, Value]:
    """What tells this reconcile from others. None: all there is."""
    span: dict[str, Value] = {}
    if asked is not None:
        span = {"start": rfc3339(from_epoch_ms(asked.start)), "end": rfc3339(from_epoch_ms(asked.end))}
    return {**span, "repair": repair}


async def units(engine: Engine, asked: Span | None, *, repair: bool) -> list[Unit]:
    """One for each partition that holds, or should hold, anything of the span: rollups after those they are made from.
    Buckets that the span touches are compared whole."""
    return [unit for dataset in DATASETS for unit in await _of_dataset(engine, dataset, asked, repair=repair)]


async def _of_dataset(engine: Engine, dataset: Dataset, asked: Span | None, *, repair: bool) -> list[Unit]:
    there = await everything(engine, dataset)
    if asked is not None:
        cut = (Span(max(one.start, asked.start), min(one.end, asked.end)) for one in there)
        there = [span for span in cut if span.start < span.end]
    months = await raw_months(engine, dataset)
    found = [
        Unit(
            f"{dataset.raw}[{month}]",
            *("reconcile_raw", "raw", _RAW),
            {"dataset": dataset.name, "month": month, "repair": repair},
            rows,
        )
        for month, rows in months.items()
        if any(month_of(month).start < span.end and span.start < month_of(month).end for span in there)
    ]
    for grain in grains_of(dataset):
        for partition, pieces in by_partition(grain, there).items():
            span = Span(pieces[0].start, pieces[-1].end)
            arguments: dict[str, Value] = {"table": grain.table, "partition": partition.id, **span._asdict()}
            rows = _rows_within(span, months) if grain.from_raw else 0
            unit = Unit(
                str(partition), "reconcile", grain.name, _ROLLUPS + depth(grain), {**arguments, "repair": repair}, rows
            )
            found.append(unit)
    return found


async def reconcile_partition(work: Work, arguments: Mapping[str, Value], _: Callable[[int], None]) -> Outcome:
    """Raises what `reconcile` raises."""
    grain = grain_of(str(arguments["table"]))
    found = await reconcile(
        work.engine,
        work.fence,
        work.versions,
        Partition(grain, str(arguments["partition"])),
        [Span(int(arguments["start"]), int(arguments["end"]))],
        work.now(),
        since=await watermark(work.engine, grain.dataset),
        repair=bool(arguments["repair"]),
    )
    return Outcome(note=_note(found))


async def reconcile_month(work: Work, arguments: Mapping[str, Value], _: Callable[[int], None]) -> Outcome:
    """Raises ClickHouseError."""
    dataset, month = dataset_called(str(arguments["dataset"])), int(arguments["month"])
    found = await reconcile_raw(work.engine, dataset, month, work.now(), repair=bool(arguments["repair"]))
    return Outcome(note=_note(found))


def _rows_within(span: Span, months: Mapping[int, int]) -> int:
    """Rows, as many as there would be if each month's were spread evenly."""
    total = 0.0
    for month, rows in months.items():
        held = month_of(month)
        total += rows * max(min(span.end, held.end) - max(span.start, held.start), 0) / (held.end - held.start)
    return round(total)


def _note(found: Reconciliation) -> str:
    wrong = {
        "views wrong": found.wrong_views,
        "distinct counts wrong": found.wrong_distinct,
        "duplicates": found.duplicates,
        "buckets repaired": found.repaired,
    }
    return ", ".join(f"{number:,} {what}" for what, number in wrong.items() if number) or "equal"
