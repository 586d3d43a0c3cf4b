"""What raw has been through. It grows by inserts alone, except where events expire or a mutation takes or changes some;
who relies on its growing has to look whether that was all."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.engine import Engine
from clickhouse.retention import watermark
from clickhouse.shapes import Dataset
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Raw:
    """At a moment. `since`: the first instant (epoch ms) whose rows have not expired. `mutations` are the ids of all
    that ClickHouse remembers (of finished ones the last hundred), `unfinished`: not all of them are."""

    since: int
    mutations: frozenset[str]
    unfinished: bool

    def only_grew_since(self, before: Raw) -> bool:
        return self.since == before.since and self.mutations <= before.mutations and not self.unfinished


async def rows_by_month(engine: Engine, dataset: Dataset) -> dict[str, int]:
    """Of each partition of raw. As long as raw only grew, a month with as many rows as before has the same rows."""
    rows = await engine.select(
        Statement(
            """\
SELECT partition_id, sum(rows)
FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
GROUP BY partition_id""",
            {"table": dataset.raw},
        )
    )
    return {row[0]: row[1] for row in rows}


async def examine(engine: Engine, dataset: Dataset) -> Raw:
    """Raises ClickHouseError."""
    rows = await engine.select(
        Statement(
            """\
SELECT mutation_id, is_done
FROM system.mutations
WHERE database = currentDatabase() AND table = {table:String}""",
            {"table": dataset.raw},
        )
    )
    ids = frozenset(row[0] for row in rows)
    return Raw(await watermark(engine, dataset), ids, unfinished=not all(done for _, done in rows))
