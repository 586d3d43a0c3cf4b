"""What is wrong with raw itself: events that are there twice, and blogs whose numbers are not their own."""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse.engine import Engine
from clickhouse.events import RETRY_WINDOW
from clickhouse.rollups import EVENTS
from clickhouse.shapes import Dataset
from clickhouse.statement import Statement, Value

# Ids one statement groups: 100 bytes each.
SLICE = 2_000_000

# Duplicates named of a partition.
EXAMPLES = 5


@dataclass(frozen=True)
class Flaws:
    """Of a month of raw. `events`: rows; `duplicates`: those of them that should not be there; `examples`:
    `<site> <event_id>`; `misnumbered`: blogs that share a number, or have several."""

    events: int
    duplicates: int
    examples: tuple[str, ...]
    misnumbered: int


async def raw_months(engine: Engine, dataset: Dataset) -> dict[int, int]:
    """Rows by partition of raw (202501), ascending."""
    parts = f"""\
SELECT partition_id, sum(rows) FROM system.parts
WHERE active AND database = currentDatabase() AND table = '{dataset.raw}' AND rows > 0
GROUP BY partition_id"""
    return dict(sorted((int(row[0]), row[1]) for row in await engine.select(Statement(parts))))


async def flaws(engine: Engine, month: int, slice_: int = SLICE) -> Flaws:
    """Of a partition of raw, in statements of about `slice_` events.

    An id counts as there twice where a second one should have been known for a client's retry: within 24 hours, or with
    the same `viewed_at`. What is sent again later with another time is an event of its own (clickhouse/events.py).
    """
    values: dict[str, Value] = {"partition": str(month)}
    counted = await engine.select(Statement(f"SELECT count() FROM {EVENTS} WHERE _partition_id = {_PARTITION}", values))
    events = counted[0][0]
    duplicates, examples = 0, list[str]()
    slices = max(1, -(-events // slice_))
    for number in range(slices):
        rows = await engine.select(Statement(_DUPLICATES, {**values, "slices": slices, "slice": number}))
        duplicates += sum(row[1] for row in rows)
        examples += [row[0] for row in rows]
    misnumbered = (await engine.select(Statement(_MISNUMBERED, values)))[0][0]
    return Flaws(events, duplicates, tuple(examples[:EXAMPLES]), misnumbered)


_PARTITION = "{partition:String}"

_SLICE = f"_partition_id = {_PARTITION} AND cityHash64(event_id) % {{slices:UInt32}} = {{slice:UInt32}}"

_DUPLICATES = f"""\
SELECT
    concat(site, ' ', toString(event_id)),
    greatest(
        count() - uniqExact(viewed_at),
        arrayCount(
            gap -> gap <= {RETRY_WINDOW.total_seconds():.0f},
            arrayPopFront(arrayDifference(arraySort(groupArray(toUnixTimestamp(received_at)))))
        )
    ) AS surplus
FROM {EVENTS}
WHERE {_SLICE}
  AND (site, event_id) IN
(
    SELECT site, event_id FROM {EVENTS} WHERE {_SLICE} GROUP BY site, event_id HAVING count() > 1
)
GROUP BY site, event_id
HAVING surplus > 0
ORDER BY site, event_id"""

_MISNUMBERED = f"""\
WITH numbered AS (SELECT DISTINCT site, blog_id, blog_number FROM {EVENTS} WHERE _partition_id = {_PARTITION})
SELECT uniqExactIf((site, blog_id), blogs > 1 OR numbers > 1)
FROM
(
    SELECT
        site,
        blog_id,
        uniqExact(blog_number) OVER (PARTITION BY site, blog_id) AS numbers,
        uniqExact(blog_id) OVER (PARTITION BY site, blog_number) AS blogs
    FROM numbered
)"""
