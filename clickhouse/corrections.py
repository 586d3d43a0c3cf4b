"""Samples of raw that were sent again with another value: of each series and time the last one is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse.duplicates import EXAMPLES, SLICE, Flaws
from clickhouse.engine import Engine
from clickhouse.mutations import mutate
from clickhouse.rollups import OF_SAMPLES, SAMPLES
from clickhouse.spans import Span, days_of
from clickhouse.statement import Statement, Value

# Samples that one mutation deletes: they stand in its text, which may be 256 kB long.
_PORTION = 2_000


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
    for portion in _portions(found):
        # Numbers alone: text may not hold all bits of a value.
        keys = ",".join(f"({one.series},{one.at},{one.received_at},{one.bits})" for one in portion)
        times = "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at)"
        sql = f"""\
ALTER TABLE {SAMPLES}
    DELETE WHERE toYYYYMM(at) = {month} AND (series, {times}, reinterpretAsUInt64(value)) IN ({keys})"""
        await mutate(engine, OF_SAMPLES, Statement(sql))


def days(found: list[Superseded]) -> list[Span]:
    """That they lie in."""
    return days_of(one.at for one in found)


def _portions(found: list[Superseded]) -> Iterator[list[Superseded]]:
    for first in range(0, len(found), _PORTION):
        yield found[first : first + _PORTION]


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
