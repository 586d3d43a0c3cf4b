"""Rollups made by hand, from raw or from each other, where no view has done it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clickhouse import ddl
from clickhouse.engine import Engine
from clickhouse.raw import rows_by_month
from clickhouse.shapes import Dataset, DimensionSet, Grain
from clickhouse.spans import BUCKET, EVENT, Span, bound, month_of, months_of, within
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
    if table in {None, dataset.raw}:
        return await _held_by_raw(engine, dataset, span)
    asked = f"SELECT count(), {_BUCKET.format('min')}, {_BUCKET.format('max')}\nFROM {table}"
    if span is None:
        statement = Statement(asked)
    else:
        statement = Statement(f"{asked}\nWHERE {within('bucket', BUCKET, [span])}", bound([span]))
    count, first, last = (await engine.select(statement))[0]
    return Span(first, last + 1000) if count else None


_BUCKET = "toInt64(toUnixTimestamp({}(bucket))) * 1000"


async def _held_by_raw(engine: Engine, dataset: Dataset, span: Span | None) -> Span | None:
    """Of the months that have rows only those at the ends are read: 1.5 s for 50 M rows as a whole."""
    months = [month_of(int(id_)) for id_, rows in (await rows_by_month(engine, dataset)).items() if rows]
    asked = span or Span(min((one.start for one in months), default=0), max((one.end for one in months), default=0))
    pieces = sorted(Span(max(one.start, asked.start), min(one.end, asked.end)) for one in months)
    pieces = [piece for piece in pieces if piece.start < piece.end]
    first = await _first_of(engine, dataset, pieces)
    last = await _first_of(engine, dataset, pieces[::-1])
    return Span(first.start, last.end) if first and last else None


async def _first_of(engine: Engine, dataset: Dataset, pieces: Sequence[Span]) -> Span | None:
    """From the first to the last row of the first of the pieces that has any."""
    milliseconds = f"toUnixTimestamp64Milli({{}}({dataset.time}))"
    for piece in pieces:
        sql = f"""\
SELECT count(), {milliseconds.format("min")}, {milliseconds.format("max")}
FROM {dataset.raw}
WHERE {within(dataset.time, EVENT, [piece])}"""
        count, first, last = (await engine.select(Statement(sql, bound([piece]))))[0]
        if count:
            return Span(first, last + 1)
    return None


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
