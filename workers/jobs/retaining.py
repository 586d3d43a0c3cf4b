"""The tasks `retain`, `tidy` and `compact`: what keeps raw as large as it should be, and in few parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from clickhouse.compaction import compact, scattered
from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from clickhouse.jobs import delete_ended
from clickhouse.rollups import DATASETS, dataset_called
from clickhouse.shapes import Dataset
from workers.jobs.job import Unit, Value
from workers.jobs.work import Outcome, Work
from workers.rebuild import left_over
from workers.retention import retain

# Nobody writes to a month for so long once it is over, but for late events.
CLOSED = timedelta(days=1)

# How long ended jobs are listed. A year of hourly schedules is 9,000, of some 15 units each.
REMEMBERED = timedelta(days=90)


def retention_units(days: int | None) -> list[Unit]:
    """Of a job of kind retention, to be run every day. `days`: the setting RAW_RETENTION_DAYS."""
    tidy = Unit("tidy", "tidy", "retention")
    return [tidy] if days is None else [tidy, Unit("retain", "retain", "retention", arguments={"days": days})]


def compaction_units() -> list[Unit]:
    """Of a job of kind compaction."""
    return [Unit("compact", "compact", "compaction", arguments={"month": 0})]


async def retain_events(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Raises LeaseError, ClickHouseError."""
    told = []
    for dataset in DATASETS:
        found = await retain(work.engine, work.fence, dataset, int(arguments["days"]), work.now())
        if found.since:
            told.append(f"{_NOUNS[dataset.name]} are kept from {rfc3339(from_epoch_ms(found.since))} on")
        if found.dropped:
            told.append(f"dropped {', '.join(map(str, found.dropped))}")
        if found.held_back:
            told.append(f"late {_NOUNS[dataset.name]} came into {', '.join(map(str, found.held_back))}")
    return Outcome(note="; ".join(told))


async def tidy(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """What nobody needs any more: tables of rebuilds that were cut off, jobs of last quarter.

    Raises LeaseError, ClickHouseError.
    """
    dropped = await left_over(work.engine, work.fence)
    told = [f"dropped {', '.join(dropped)}"] if dropped else []
    jobs = await delete_ended(work.engine, epoch_ms(work.now() - REMEMBERED))
    told += [f"forgot {jobs} jobs"] if jobs else []
    return Outcome(note="; ".join(told))


async def compact_month(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Of month 0: a unit for each that is to be compacted, in stages of their own: they share the disk.

    Raises ClickHouseError.
    """
    if arguments["month"]:
        await compact(work.engine, dataset_called(str(arguments["dataset"])), int(arguments["month"]))
        return Outcome()
    before = epoch_ms(work.now() - CLOSED)
    found = [(of, one) for of in DATASETS for one in await scattered(work.engine, of, before)]
    units = (
        Unit(f"{of.raw}[{one.month}]", "compact", "compaction", stage, _arguments(of, one.month), one.rows)
        for stage, (of, one) in enumerate(found, start=2)
    )
    return Outcome(rows=0, more=tuple(units), note=f"{len(found)} months in several parts")


def _arguments(dataset: Dataset, month: int) -> dict[str, Value]:
    return {"dataset": dataset.name, "month": month}


_NOUNS = {"views": "events", "samples": "samples"}
