"""Rollups made by hand, from raw or from each other, where no view has done it."""

from __future__ import annotations

from collections.abc import Callable

from clickhouse import ddl
from clickhouse.engine import Engine
from clickhouse.shapes import Dataset, DimensionSet, Grain
from clickhouse.spans import BUCKET, EVENT, Span, bound, months_of, within
from clickhouse.statement import Statement

# A month of 4 M events that make 4 M rows by day, chDB: the process grew by 3.8 GB where all sets were made in one
# statement, by 0.9 GB with one each, and by 0.4 GB with these; merging the result into one part took 0.1 GB.
_FRUGAL = """
SETTINGS
    max_bytes_before_external_group_by = 268435456,
    max_bytes_ratio_before_external_group_by = 0,
    min_insert_block_size_rows = 200000,
    max_memory_usage = 2000000000"""


async def held(engine: Engine, dataset: Dataset, span: Span | None = None, table: str | None = None) -> Span | None:
    """From the first to the last row's time, or bucket start, that raw or another table of a dataset has (of a span);
    None: there is none."""
    table = table or dataset.raw
    column, instant, milliseconds, smallest = (
        (dataset.time, EVENT, f"toUnixTimestamp64Milli({{}}({dataset.time}))", 1)
        if table == dataset.raw
        else ("bucket", BUCKET, "toInt64(toUnixTimestamp({}(bucket))) * 1000", 1000)
    )
    first_and_last = f"SELECT count(), {milliseconds.format('min')}, {milliseconds.format('max')}\nFROM {table}"
    if span is None:
        asked = Statement(first_and_last)
    else:
        asked = Statement(f"{first_and_last}\nWHERE {within(column, instant, [span])}", bound([span]))
    count, first, last = (await engine.select(asked))[0]
    return Span(first, last + smallest) if count else None


async def fill(
    engine: Engine,
    grain: Grain,
    table: str,
    span: Span,
    sets: tuple[DimensionSet, ...] | None = None,
    source: str | None = None,
    filled: Callable[[Span], None] = lambda _: None,
) -> None:
    """Adds all that the grain holds (of some dimension sets) of a span of a source (default: raw), a month and a set at
    a time: what a statement needs of memory grows with the keys it makes. A bucket cut by a month has a row of each,
    which merge as those of two inserts do. `filled` hears of each piece of a month."""
    for month in months_of(span):
        for one in sets or grain.dimension_sets:
            insert = ddl.fill(grain, table, one, source or grain.dataset.raw)
            await engine.execute(Statement(insert + _FRUGAL, month._asdict()))
        filled(month)
