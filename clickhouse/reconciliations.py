"""What the last comparisons came to, by table and partition; and when partitions were rebuilt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from clickhouse.engine import Engine, Row
from clickhouse.partitions import Partition
from clickhouse.rollups import ALL_GRAINS, DATASETS, grain_of
from clickhouse.shapes import HOUR
from clickhouse.spans import Span
from clickhouse.statement import Statement, Value

# Milliseconds: samples are stored within seconds. What an outage or a dead letter keeps for longer is noticed by its
# number, and costs a look at all of its month.
SETTLING = HOUR

# Coarse before fine reads from the top; raw, which all are made from, comes first.
_TABLES = (*(dataset.raw for dataset in DATASETS), *(grain.table for grain in ALL_GRAINS))


@dataclass(frozen=True)
class Reconciliation:
    """Of a partition of a rollup, or of a month of raw (where `expected` and `found` are its events). Epoch ms.

    `expected` and `found`: views of the buckets that were looked at. What was wrong and is so no more is `repaired`;
    everything else tells how it stands now."""

    table: str
    partition: str
    at: int
    expected: int
    found: int
    wrong_views: int = 0
    """Missing or too many, added up over sites and dimension sets."""
    wrong_buckets: int = 0
    """Buckets in which anything is wrong."""
    wrong_distinct: int = 0
    """Rows with another set of blogs; of raw, blogs that share a number or have several."""
    first_wrong: int = 0
    last_wrong: int = 0
    """Starts of the first and the last of these buckets."""
    duplicates: int = 0
    """Events of raw that should not be there."""
    examples: tuple[str, ...] = ()
    """Some of these: `<site> <event_id>`."""
    repaired: int = 0
    """Buckets that were wrong and were rebuilt."""
    settled: int = 0
    """Of samples: rows that were received SETTLING before `at`. No look has to come back to them while they are as
    many."""

    @property
    def equal(self) -> bool:
        return not (self.wrong_buckets or self.wrong_distinct or self.duplicates)


@dataclass(frozen=True)
class Standing:
    """Of a table: its partitions' last reconciliations added up, and the times (epoch ms) of the last of all."""

    wrong_views: int
    wrong_buckets: int
    wrong_distinct: int
    duplicates: int
    reconciled_at: int


async def put(engine: Engine, found: Reconciliation) -> None:
    """Replaces the partition's former one."""
    values: dict[str, Value] = {**asdict(found), "examples": list(found.examples)}
    selected = ", ".join(_BOUND.get(name, f"{{{name}:UInt64}}") for name in _FIELDS)
    insert = f"INSERT INTO reconciliations ({', '.join(_FIELDS)}) SELECT {selected}"
    await engine.execute(Statement(insert, values))


async def latest(engine: Engine, limit: int, offset: int) -> tuple[int, list[Reconciliation]]:
    """How many partitions were ever compared, and some of them: raw, then rollups from fine to coarse."""
    total = await engine.select(Statement("SELECT count() FROM reconciliations FINAL"))
    page = f"""\
{_SELECT}
ORDER BY indexOf({{tables:Array(String)}}, table), partition
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"""
    values: dict[str, Value] = {"tables": list(_TABLES), "limit": limit, "offset": offset}
    return total[0][0], [_reconciliation(row) for row in await engine.select(Statement(page, values))]


async def of_table(engine: Engine, table: str) -> list[Reconciliation]:
    """Those of all its partitions."""
    rows = await engine.select(Statement(f"{_SELECT} WHERE table = {{table:String}}", {"table": table}))
    return [_reconciliation(row) for row in rows]


async def standing(engine: Engine) -> dict[str, Standing]:
    """By table; those that were never compared are not there."""
    rows = await engine.select(
        Statement(
            """\
SELECT
    table, sum(wrong_views), sum(wrong_buckets), sum(wrong_distinct), sum(duplicates),
    max(toUnixTimestamp64Milli(at))
FROM reconciliations FINAL
GROUP BY table"""
        )
    )
    return {row[0]: Standing(*row[1:]) for row in rows}


def wrong_spans(found: list[Reconciliation], table: str) -> list[Span]:
    """From the first to the last wrong bucket of each partition of a rollup."""
    grain = grain_of(table)
    return [Span(one.first_wrong, grain.ceiling(one.last_wrong + 1)) for one in found if one.wrong_buckets]


async def put_rebuilt(engine: Engine, partition: Partition) -> None:
    """It was put in place just now."""
    values: dict[str, Value] = {"table": partition.grain.table, "partition": partition.id}
    insert = "INSERT INTO rebuilds (table, partition) SELECT {table:String}, {partition:String}"
    await engine.execute(Statement(insert, values))


async def last_rebuilds(engine: Engine) -> dict[str, int]:
    """When (epoch ms) a partition of a table was last put in place."""
    rows = await engine.select(Statement("SELECT table, toUnixTimestamp64Milli(max(at)) FROM rebuilds GROUP BY table"))
    return {row[0]: row[1] for row in rows}


_FIELDS = tuple(field.name for field in fields(Reconciliation))

_SELECTED = ", ".join("toUnixTimestamp64Milli(at)" if name == "at" else name for name in _FIELDS)
_SELECT = f"SELECT {_SELECTED} FROM reconciliations FINAL"

_BOUND = {
    "table": "{table:String}",
    "partition": "{partition:String}",
    "at": "fromUnixTimestamp64Milli({at:Int64}, 'UTC')",
    "first_wrong": "{first_wrong:Int64}",
    "last_wrong": "{last_wrong:Int64}",
    "examples": "{examples:Array(String)}",
}


def _reconciliation(row: Row) -> Reconciliation:
    named = dict(zip(_FIELDS, row, strict=True))
    return Reconciliation(**{**named, "examples": tuple(named["examples"])})
