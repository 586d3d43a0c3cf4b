"""The number of each blog on its site: small, given once, never changed.

Rollups count distinct blogs by bitmaps of these numbers, which are exact, and small because the numbers are dense.
A number says nothing else; everything that is shown or asked for goes by blog_id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from clickhouse import native
from clickhouse.blogs import Key, find_rows
from clickhouse.engine import Engine
from clickhouse.statement import Statement, portions

TABLE = "blog_numbers"


async def find_numbers(engine: Engine, keys: Iterable[Key]) -> dict[Key, int]:
    """Those of the given (site, blog_id) that have a number; the smallest, should one be written down twice."""
    rows = await find_rows(engine, f"SELECT site, blog_id, number FROM {TABLE}", "blog_id", keys)
    return {(row[0], row[1]): row[2] for row in sorted(rows, key=lambda row: row[2], reverse=True)}


async def next_numbers(engine: Engine, sites: Iterable[str], below: int) -> dict[str, int]:
    """The first number of each site that no blog has had yet, of those `below`."""
    sql = f"""\
SELECT site, max(number) + 1
FROM {TABLE}
WHERE site IN {{sites:Array(String)}} AND number < {{below:UInt32}}
GROUP BY site"""
    found: dict[str, int] = defaultdict(int)
    for portion in portions(sorted(set(sites)), lambda site: (site,)):
        rows = await engine.select(Statement(sql, {"sites": portion, "below": below}))
        found.update({row[0]: row[1] for row in rows})
    return found


async def keep_numbers(engine: Engine, numbers: Mapping[Key, int]) -> None:
    """Writes new numbers down; at least one. They may be used when this returns."""
    columns = [
        native.Column("site", "String", native.strings(site for site, _ in numbers)),
        native.Column("blog_id", "String", native.strings(blog_id for _, blog_id in numbers)),
        native.Column("number", "UInt32", native.uint32s(numbers.values())),
    ]
    names = [column.name for column in columns]
    await engine.insert(TABLE, names, native.block(len(numbers), columns), {"async_insert": "0"})
