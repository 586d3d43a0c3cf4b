"""Samples of raw that were sent again with another value: of each series and time the last one is right."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse import native
from clickhouse.duplicates import EXAMPLES, SLICE, Flaws
from clickhouse.engine import Engine
from clickhouse.mutations import mutate, settled
from clickhouse.rollups import OF_SAMPLES, SAMPLES
from clickhouse.spans import Span, days_of
from clickhouse.statement import Statement, Value


@dataclass(frozen=True)
class Superseded:
    """A sample that a later one of the same series and time corrects. `bits` are those of its value."""

    site: str
    metric: str
    labels: str
    series: int
    at: int
    received_at: int
    bits: int


async def superseded(engine: Engine, month: int, since: int = 0) -> list[Superseded]:
    """Of a partition of raw: those of all, or of the series and times that a sample was received of from `since` (epoch
    ms) on. Raises ClickHouseError."""
    total = 0 if since else await _count(engine, month)
    slices = max(1, -(-total // SLICE))
    found = []
    for number in range(slices):
        values: dict[str, Value] = {"partition": str(month), "slices": slices, "slice": number, "since": since}
        rows = await engine.select(Statement(_superseded(_LATELY if since else _SEVERAL), values))
        found += [Superseded(*row) for row in rows]
    return found


async def flaws(engine: Engine, month: int, found: list[Superseded]) -> Flaws:
    """As of events, `clickhouse.duplicates` has them."""
    examples = tuple(f"{one.site} {one.metric}{one.labels}" for one in found[:EXAMPLES])
    return Flaws(await _count(engine, month), len(found), examples, 0)


async def delete(engine: Engine, month: int, found: list[Superseded]) -> None:
    """The rollups that counted them are to be rebuilt. Raises ClickHouseError."""
    if not found:
        return
    # One mutation for all: each rewrites every part it touches.
    table = f"superseded_{month}"
    # One that a former call began reads the table that is dropped here.
    await settled(engine, OF_SAMPLES)
    await engine.execute(Statement(f"DROP TABLE IF EXISTS {table} SYNC"))
    await engine.execute(
        Statement(f"CREATE TABLE {table} (series UInt64, at Int64, received_at Int64, bits UInt64) ENGINE = Set")
    )
    # The bits of a value, for text may not hold all of them.
    columns = [
        native.Column("series", "UInt64", native.uint64s(one.series for one in found)),
        native.Column("at", "Int64", native.int64s(one.at for one in found)),
        native.Column("received_at", "Int64", native.int64s(one.received_at for one in found)),
        native.Column("bits", "UInt64", native.uint64s(one.bits for one in found)),
    ]
    names = [column.name for column in columns]
    await engine.insert(table, names, native.block(len(found), columns), {"async_insert": "0"})
    # A mutation knows no current database.
    database = (await engine.select(Statement("SELECT currentDatabase()")))[0][0]
    times = "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at)"
    sql = f"""\
ALTER TABLE {SAMPLES}
    DELETE WHERE toYYYYMM(at) = {month}
      AND (series, {times}, reinterpretAsUInt64(value)) IN `{database}`.{table}"""
    await mutate(engine, OF_SAMPLES, Statement(sql))
    await engine.execute(Statement(f"DROP TABLE {table} SYNC"))


def days(found: list[Superseded]) -> list[Span]:
    """That they lie in."""
    return days_of(one.at for one in found)


async def _count(engine: Engine, month: int) -> int:
    rows = await engine.select(
        Statement(f"SELECT count() FROM {SAMPLES} WHERE {_PARTITION}", {"partition": str(month)})
    )
    return int(rows[0][0])


_PARTITION = "_partition_id = {partition:String}"
_SLICE = "series % {slices:UInt32} = {slice:UInt32}"

_SEVERAL = f"""\
SELECT series, at FROM {SAMPLES}
        WHERE {_PARTITION} AND {_SLICE}
        GROUP BY series, at
        HAVING count() > 1"""
_LATELY = f"""\
SELECT series, at FROM {SAMPLES}
        WHERE {_PARTITION} AND received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"""


def _superseded(suspects: str) -> str:
    """Rows that are equal to the last one in all are left out: a DELETE would take that with them."""
    return f"""\
SELECT
    s.site, s.metric, s.labels, s.series,
    toUnixTimestamp64Milli(s.at), toUnixTimestamp64Milli(s.received_at), reinterpretAsUInt64(s.value)
FROM
(
    SELECT *, first_value((received_at, value)) OVER latest AS kept
    FROM {SAMPLES}
    WHERE {_PARTITION} AND {_SLICE} AND (series, at) IN
    (
        {suspects}
    )
    WINDOW latest AS (PARTITION BY series, at ORDER BY received_at DESC, value DESC)
) AS s
WHERE (s.received_at, s.value) != s.kept"""
