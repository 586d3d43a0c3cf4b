"""The tasks `reconcile`, a partition of a rollup, `reconcile_raw`, a month of raw, and `correct`; which there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from clickhouse.corrections import NOTHING, Looked
from clickhouse.drift import everything
from clickhouse.duplicates import raw_months
from clickhouse.engine import Engine
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.partitions import Partition, by_partition
from clickhouse.reconciliations import SETTLING, Reconciliation, of_table
from clickhouse.retention import watermark
from clickhouse.rollups import DATASETS, OF_SAMPLES, VIEWS, dataset_called, grain_of, grains_of
from clickhouse.shapes import DAY, Dataset
from clickhouse.spans import Span, merged, month_of
from workers.jobs.job import Unit, Value
from workers.jobs.work import Outcome, Work
from workers.reconcile import correct, depth, reconcile, reconcile_raw, reconcile_samples

# Raw first: samples that were corrected go before rollups are held against it.
_RAW, _CORRECT, _ROLLUPS = 1, 2, 3

# What may be wrong of a dataset's rollups beside its counts.
OTHERS = {"views": "distinct counts", "samples": "sums and extremes"}


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
    # Corrections may be of any time: whatever hour is asked for, months that samples came into are looked at.
    same = {int(one.partition): one.found for one in await of_table(engine, dataset.raw) if not one.duplicates}
    found = []
    for month, rows in months.items():
        held = month_of(month)
        whole = asked is None or (asked.start <= held.start and held.end <= asked.end)
        touched = any(held.start < span.end and span.start < held.end for span in there)
        if touched or (dataset is OF_SAMPLES and rows != same.get(month)):
            arguments: dict[str, Value] = {"dataset": dataset.name, "month": month, "repair": repair, "whole": whole}
            found.append(Unit(f"{dataset.raw}[{month}]", "reconcile_raw", "raw", _RAW, arguments, rows))
    return found + _of_rollups(dataset, there, months, repair=repair)


def _of_rollups(
    dataset: Dataset, spans: Sequence[Span], months: Mapping[int, int], *, repair: bool, why: str = ""
) -> list[Unit]:
    """`why` tells their names from those of others."""
    found = []
    for grain in grains_of(dataset):
        for partition, pieces in by_partition(grain, spans).items():
            span = Span(pieces[0].start, pieces[-1].end)
            arguments: dict[str, Value] = {"table": grain.table, "partition": partition.id, **span._asdict()}
            rows = _rows_within(span, months) if grain.from_raw else 0
            stage = _ROLLUPS + depth(grain)
            unit = Unit(f"{partition}{why}", "reconcile", grain.name, stage, {**arguments, "repair": repair}, rows)
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
    return Outcome(note=_note(found, grain.dataset))


async def reconcile_month(work: Work, arguments: Mapping[str, Value], _: Callable[[int], None]) -> Outcome:
    """What is to be deleted of samples, and rebuilt for it, is written down first.

    Raises ClickHouseError.
    """
    dataset, month = dataset_called(str(arguments["dataset"])), int(arguments["month"])
    if dataset is VIEWS:
        return Outcome(note=_note(await reconcile_raw(work.engine, month, work.now()), VIEWS))
    looked = NOTHING if arguments["whole"] else await _looked(work.engine, month)
    found, days = await reconcile_samples(work.engine, month, work.now(), looked)
    if not (days and arguments["repair"]):
        return Outcome(note=_note(found, dataset))
    name, listed = f"{dataset.raw}[{month}] corrected", ",".join(map(str, sorted(days)))
    about: dict[str, Value] = {"month": month, "days": listed, **looked._asdict()}
    # Where all of the month was asked for, its rollups are compared already, after this.
    why = "" if arguments["whole"] else f" corrected {month}"
    first = month_of(month).start - DAY
    spans = merged(Span(first + day * DAY, first + (day + 1) * DAY) for day in days)
    follow = _of_rollups(dataset, spans, {}, repair=True, why=why)
    return Outcome(note=_note(found, dataset), more=(Unit(name, "correct", "raw", _CORRECT, about), *follow))


async def correct_month(work: Work, arguments: Mapping[str, Value], _: Callable[[int], None]) -> Outcome:
    """Raises LeaseError, ClickHouseError."""
    days = {int(day) for day in str(arguments["days"]).split(",")}
    looked = Looked(int(arguments["until"]), int(arguments["rows"]))
    found = await correct(work.engine, work.fence, int(arguments["month"]), days, work.now(), looked)
    return Outcome(note=_note(found, OF_SAMPLES))


async def _looked(engine: Engine, month: int) -> Looked:
    for one in await of_table(engine, OF_SAMPLES.raw):
        if one.partition == str(month) and not one.duplicates:
            return Looked(one.at - SETTLING, one.settled)
    return NOTHING


def _rows_within(span: Span, months: Mapping[int, int]) -> int:
    """Rows, as many as there would be if each month's were spread evenly."""
    total = 0.0
    for month, rows in months.items():
        held = month_of(month)
        total += rows * max(min(span.end, held.end) - max(span.start, held.start), 0) / (held.end - held.start)
    return round(total)


def _note(found: Reconciliation, dataset: Dataset) -> str:
    raw, others = found.table == dataset.raw, OTHERS[dataset.name]
    wrong = {
        f"{dataset.name} wrong": found.wrong_views,
        f"{others} wrong": found.wrong_distinct,
        "duplicates" if dataset is VIEWS else "corrected samples": found.duplicates,
        "corrected samples dropped" if raw else "buckets repaired": found.repaired,
    }
    return ", ".join(f"{number:,} {what}" for what, number in wrong.items() if number) or "equal"
