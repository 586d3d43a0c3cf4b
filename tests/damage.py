"""Events at the awkward ends of the calendar, and rollups spoilt by hand as a crash or a bug would."""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import uuid4

from clickhouse.blocks import insert
from clickhouse.engine import Engine
from clickhouse.events import Event, freeze
from clickhouse.partitions import Partition
from clickhouse.statement import Statement
from tests.oracle_calendar import DAY, instant

# Weeks that begin in the year before, two decades, a leap day, and plain ones. Few years: each is one more to compare.
_DAYS = (
    *("2019-12-30", "2019-12-31", "2020-01-01", "2020-02-29", "2020-06-30"),
    *("2020-07-01", "2020-12-28", "2020-12-31", "2021-01-03", "2021-01-04"),
)

BLOGS = {f"b{number}": number for number in range(9)}


def events(count: int, seed: int = 1, days: Sequence[str] = _DAYS) -> list[Event]:
    """Of two sites; at least one on each of the days."""
    chance = random.Random(seed)
    return [_event(chance, instant(f"{days[number % len(days)]}T00:00:00Z")) for number in range(count)]


def _event(chance: random.Random, day: int) -> Event:
    blog = chance.choice(list(BLOGS))
    at = day + chance.choice([0, DAY - 1, chance.randrange(DAY)])
    author = f"a{BLOGS[blog] % 3}"
    country = chance.choice(["ET", "NP", ""])
    return Event(uuid4().bytes, chance.choice(["s", "t"]), blog, author, country, chance.randrange(50), at, at, "", "")


async def store(engine: Engine, batch: Sequence[Event]) -> None:
    """One batch, as the flusher inserts it."""
    numbers = {(site, blog): number for site in ("s", "t") for blog, number in BLOGS.items()}
    await insert(engine, freeze(str(uuid4()), batch, numbers))


async def lose(engine: Engine, partition: Partition, condition: str) -> None:
    delete = f"ALTER TABLE {partition.grain.table} DELETE IN PARTITION ID '{partition.id}' WHERE {condition}"
    await engine.execute(Statement(f"{delete} SETTINGS mutations_sync = 2"))


async def add(engine: Engine, partition: Partition, rows: str) -> None:
    """Rows of a SELECT, past the views that read from the rollup: an INSERT would go on into coarser ones."""
    table = partition.grain.table
    await engine.execute(Statement(f"CREATE TABLE added AS {table}"))
    await engine.execute(Statement(f"INSERT INTO added {rows}"))
    await engine.execute(Statement(f"ALTER TABLE {table} ATTACH PARTITION ID '{partition.id}' FROM added"))
    await engine.execute(Statement("DROP TABLE added SYNC"))


async def parts(engine: Engine) -> dict[tuple[str, str], set[int]]:
    """Numbers of the blocks that the rollups' active parts hold, by table and partition: merges leave them alone."""
    rows = await engine.select(
        Statement(
            "SELECT table, partition_id, groupArrayDistinct(arrayJoin(range(min_block_number, max_block_number + 1)))"
            " FROM system.parts"
            " WHERE active AND database = currentDatabase() AND match(table, '^(views_by|samples_by|rebuild)_')"
            " GROUP BY ALL"
        )
    )
    return {(row[0], row[1]): set(row[2]) for row in rows}
