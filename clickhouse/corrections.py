"""Samples of raw that were sent again with another value: of each series and time the last one is right."""

from __future__ import annotations

from clickhouse.duplicates import EXAMPLES, SLICE, Flaws
from clickhouse.engine import Engine, Row
from clickhouse.mutations import mutate
from clickhouse.rollups import OF_SAMPLES, SAMPLES
from clickhouse.statement import Statement, Value

# Samples that one mutation deletes: they stand in its text, which may be 256 kB long.
_PORTION = 2_000


async def superseded(engine: Engine, month: int) -> Flaws:
    """Of a partition of raw; `duplicates`: samples that a later one of the same series and time corrects."""
    values: dict[str, Value] = {"partition": str(month)}
    counted = await engine.select(Statement(f"SELECT count() FROM {SAMPLES} WHERE {_PARTITION}", values))
    samples = counted[0][0]
    found = [row for number in range(_slices(samples)) for row in await _of_slice(engine, month, samples, number)]
    examples = tuple(f"{row[0]} {row[1]}{row[2]}" for row in found[:EXAMPLES])
    return Flaws(samples, len(found), examples, 0)


async def supersede(engine: Engine, month: int) -> int:
    """Deletes them, and returns how many they were; the rollups that counted them are to be rebuilt.

    Raises ClickHouseError.
    """
    total = (await superseded(engine, month)).events
    deleted = 0
    for number in range(_slices(total)):
        rows = await _of_slice(engine, month, total, number)
        for first in range(0, len(rows), _PORTION):
            portion = rows[first : first + _PORTION]
            # Numbers alone; the bits of a value, for text may not hold all of them.
            keys = ",".join(f"({row[3]},{row[4]},{row[5]},{row[6]})" for row in portion)
            times = "toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at)"
            delete = f"""\
ALTER TABLE {SAMPLES}
    DELETE WHERE toYYYYMM(at) = {month} AND (series, {times}, reinterpretAsUInt64(value)) IN ({keys})"""
            await mutate(engine, OF_SAMPLES, Statement(delete))
        deleted += len(rows)
    return deleted


def _slices(samples: int) -> int:
    return max(1, -(-samples // SLICE))


async def _of_slice(engine: Engine, month: int, samples: int, number: int) -> list[Row]:
    values: dict[str, Value] = {"partition": str(month), "slices": _slices(samples), "slice": number}
    return list(await engine.select(Statement(_SUPERSEDED, values)))


_PARTITION = "_partition_id = {partition:String}"

_SUPERSEDED = f"""\
WITH s AS
(
    SELECT
        *,
        row_number() OVER (PARTITION BY site, series, at ORDER BY received_at DESC, value DESC) AS place
    FROM {SAMPLES}
    WHERE {_PARTITION}
      AND series % {{slices:UInt32}} = {{slice:UInt32}}
      AND (site, series, at) IN
    (
        SELECT site, series, at FROM {SAMPLES}
        WHERE {_PARTITION} AND series % {{slices:UInt32}} = {{slice:UInt32}}
        GROUP BY site, series, at
        HAVING count() > 1
    )
)
SELECT
    s.site, s.metric, s.labels, s.series,
    toUnixTimestamp64Milli(s.at), toUnixTimestamp64Milli(s.received_at), reinterpretAsUInt64(s.value)
FROM s
WHERE s.place > 1"""
