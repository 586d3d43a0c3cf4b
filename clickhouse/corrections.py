"""Samples of raw that were sent again: of each series and time the one that came last is right."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from clickhouse.duplicates import EXAMPLES, SLICE
from clickhouse.engine import Engine
from clickhouse.mutations import mutate, settled
from clickhouse.rollups import OF_SAMPLES, SAMPLES
from clickhouse.statement import Statement, Value


class Looked(NamedTuple):
    """Rows received before `until` (epoch ms) were `rows`, and all right. One more of them has come in late."""

    until: int
    rows: int


NOTHING = Looked(0, 0)


class Day(NamedTuple):
    """Of a month, `number` from 1. `surplus`: rows that are not the last of their series and time, equal ones but one
    among them; `settled`: by how many fewer rows were received before the mark without them."""

    number: int
    surplus: int
    settled: int
    examples: list[str]


@dataclass(frozen=True)
class Superseded:
    """`rows` of a month of raw, `settled` of them received before a mark; and the days with any surplus."""

    rows: int
    settled: int
    days: tuple[Day, ...]

    @property
    def surplus(self) -> int:
        return sum(day.surplus for day in self.days)

    @property
    def examples(self) -> tuple[str, ...]:
        return tuple(one for day in self.days for one in day.examples)[:EXAMPLES]


async def superseded(engine: Engine, month: int, looked: Looked = NOTHING, mark: int = 0) -> Superseded:
    """Of a partition of raw: of all of it, or of what nobody has looked at. Raises ClickHouseError."""
    return (await _look(engine, month, looked, mark))[0]


async def delete(engine: Engine, month: int, days: Collection[int], looked: Looked, mark: int) -> Superseded:
    """What `superseded` finds now, of which the surplus of these days of the month is gone when this returns. Rollups
    that counted it are to be rebuilt. Cut off anywhere, it is to be called again; one call at a time for a month.

    Raises ClickHouseError.
    """
    await _clear(engine, month)
    found, slices = await _look(engine, month, looked, mark)
    if not any(day.number in days for day in found.days):
        return found
    table = f"{_PREFIX}{month}_{secrets.token_hex(4)}"
    await engine.execute(
        Statement(f"CREATE TABLE {table} (series UInt64, at Int64, received_at Int64, bits UInt64) ENGINE = Set")
    )
    for one in slices:
        values: dict[str, Value] = {**one.values, "days": sorted(days)}
        await engine.execute(Statement(_tell_apart(one.sql), values))
        await engine.execute(Statement(_list(one.sql, table), values))
    # A mutation knows no current database.
    database = (await engine.select(Statement("SELECT currentDatabase()")))[0][0]
    times = "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at)"
    # One mutation for all: each rewrites every part it touches.
    sql = f"""\
ALTER TABLE {SAMPLES}
    DELETE WHERE toYYYYMM(at) = {month}
      AND (series, {times}, reinterpretAsUInt64(value)) IN `{database}`.{table}"""
    await mutate(engine, OF_SAMPLES, Statement(sql))
    await engine.execute(Statement(f"DROP TABLE {table} SYNC"))
    return found


_PREFIX = "superseded_"


async def _clear(engine: Engine, month: int) -> None:
    """No mutation is under way, and no table of a former call left. One whose table is gone (its call had lost its
    lease when the ALTER arrived) would fail for ever, and hold up all others."""
    for (mutation,) in await engine.select(Statement(_ORPHANS)):
        kill = (
            f"KILL MUTATION WHERE database = currentDatabase() AND table = '{SAMPLES}' AND mutation_id = {{id:String}}"
        )
        await engine.execute(Statement(kill, {"id": mutation}))
    await settled(engine, OF_SAMPLES)
    left = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})"
    for (table,) in await engine.select(Statement(left, {"prefix": f"{_PREFIX}{month}"})):
        await engine.execute(Statement(f"DROP TABLE IF EXISTS {table} SYNC"))


_ORPHANS = f"""\
SELECT mutation_id
FROM system.mutations
WHERE database = currentDatabase() AND table = '{SAMPLES}' AND NOT is_done
  AND position(command, '{_PREFIX}') > 0
  AND extract(command, '{_PREFIX}[0-9a-f_]+') NOT IN
  (
      SELECT name FROM system.tables WHERE database = currentDatabase()
  )"""


async def _look(engine: Engine, month: int, looked: Looked, mark: int) -> tuple[Superseded, list[Statement]]:
    """And which series and times these are about, in slices."""
    values: dict[str, Value] = {"partition": str(month), "until": looked.until, "mark": mark}
    # Before what is looked for: a sample that comes in between is one too many the next time.
    rows, before, settled_rows = (await engine.select(Statement(_COUNTED, values)))[0]
    lately = looked.until > 0 and before == looked.rows
    slices = max(1, -(-(rows - before if lately else rows) // SLICE))
    suspects = [
        Statement(_LATELY if lately else _SEVERAL, {**values, "slices": slices, "slice": number})
        for number in range(slices)
    ]
    days: dict[int, Day] = {}
    for one in suspects:
        for row in await engine.select(Statement(_by_day(one.sql), one.values)):
            day = days.get(row[0], Day(row[0], 0, 0, []))
            examples = [*day.examples, *row[3]][:EXAMPLES]
            days[row[0]] = Day(row[0], day.surplus + row[1], day.settled + row[2], examples)
    return Superseded(rows, settled_rows, tuple(sorted(days.values()))), suspects


_UNTIL = "fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
_MARK = "fromUnixTimestamp64Milli({mark:Int64}, 'UTC')"
_PARTITION = "_partition_id = {partition:String}"
_SLICE = "series % {slices:UInt32} = {slice:UInt32}"

_COUNTED = f"""\
SELECT count(), countIf(received_at < {_UNTIL}), countIf(received_at < {_MARK})
FROM {SAMPLES}
WHERE {_PARTITION}"""

_SEVERAL = f"""\
SELECT series, at FROM {SAMPLES}
        WHERE {_PARTITION} AND {_SLICE}
        GROUP BY series, at
        HAVING count() > 1"""
_LATELY = f"""\
SELECT series, at FROM {SAMPLES}
        WHERE {_PARTITION} AND {_SLICE} AND received_at >= {_UNTIL}"""


def _by_day(suspects: str) -> str:
    return f"""\
SELECT day, sum(surplus), sum(settled), groupArray({EXAMPLES})(example)
FROM
(
    SELECT
        toDayOfMonth(at) AS day,
        toInt64(count()) - 1 AS surplus,
        toInt64(countIf(received_at < {_MARK})) - (max(received_at) < {_MARK}) AS settled,
        any(concat(site, ' ', metric, labels)) AS example
    FROM {SAMPLES}
    WHERE {_PARTITION} AND {_SLICE} AND (series, at) IN
    (
        {suspects}
    )
    GROUP BY series, at
    HAVING count() > 1
)
GROUP BY day"""


# Of two with other values that came in one millisecond the greater one is kept.
_ORDER = "(received_at, value, reinterpretAsUInt64(value))"
_OF_DAYS = "has({days:Array(UInt8)}, toDayOfMonth(at))"


def _tell_apart(suspects: str) -> str:
    """Rows that are equal in all cannot be told apart by a DELETE: a later one takes their place. Rollups count it
    too, until they are rebuilt as for those that go."""
    return f"""\
INSERT INTO {SAMPLES} (site, metric, labels, series, at, value, received_at)
SELECT
    site, metric, labels, series, at,
    argMax(value, {_ORDER}), max(received_at) + toIntervalMillisecond(1)
FROM {SAMPLES}
WHERE {_PARTITION} AND {_SLICE} AND {_OF_DAYS} AND (series, at) IN
    (
        {suspects}
    )
GROUP BY site, metric, labels, series, at
HAVING count() > uniqExact({_ORDER})"""


def _list(suspects: str, table: str) -> str:
    """The bits of a value, for text may not hold all of them."""
    return f"""\
INSERT INTO {table}
SELECT series, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at), reinterpretAsUInt64(value)
FROM
(
    SELECT series, at, received_at, value, first_value({_ORDER}) OVER latest AS kept
    FROM {SAMPLES}
    WHERE {_PARTITION} AND {_SLICE} AND {_OF_DAYS} AND (series, at) IN
    (
        {suspects}
    )
    WINDOW latest AS (PARTITION BY series, at ORDER BY {_ORDER} DESC)
)
WHERE {_ORDER} != kept"""
