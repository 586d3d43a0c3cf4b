"""Events and the registry: those without an author, or with a former one of their blog, go to the registered author.

An event that names an author its blog never had in the registry keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clickhouse import native
from clickhouse.blogs import Blog, Key
from clickhouse.engine import Engine
from clickhouse.mutations import mutate, settled
from clickhouse.partitions import whole_buckets
from clickhouse.rollups import EVENTS, GRAINS, VIEWS
from clickhouse.spans import EVENT, MOST, Span, bound, merged, month_of, within
from clickhouse.statement import Statement

_MONTH = next(grain for grain in GRAINS if grain.name == "month")

_JOINED = "attribution_to_join"

# What is to be changed to what: site, blog_id, the author that events name, and the registered one.
_MOVES = """\
SELECT site, blog_id, '' AS former, author_id
FROM blogs FINAL
WHERE author_id != ''
UNION ALL
SELECT f.site AS site, f.blog_id AS blog_id, f.author_id AS former, b.author_id AS author_id
FROM (SELECT DISTINCT site, blog_id, author_id FROM former_authors) AS f
INNER JOIN (SELECT site, blog_id, author_id FROM blogs FINAL WHERE author_id != '') AS b
    ON f.site = b.site AND f.blog_id = b.blog_id
WHERE f.author_id != b.author_id"""


async def keep_former(engine: Engine, former: Iterable[tuple[Key, str]]) -> None:
    """Writes down authors that blogs (site, blog_id) are about to lose; repeating it adds nothing."""
    rows = [(site, blog_id, author_id) for (site, blog_id), author_id in former if author_id]
    if not rows:
        return
    columns = [
        native.Column(name, "String", native.strings(values))
        for name, values in zip(("site", "blog_id", "author_id"), zip(*rows, strict=True), strict=True)
    ]
    names = [column.name for column in columns]
    await engine.insert("former_authors", names, native.block(len(rows), columns), {"async_insert": "0"})


def replaced(before: dict[Key, Blog], after: Iterable[Blog]) -> list[tuple[Key, str]]:
    """The authors that blogs lose when these are written over those."""
    return [
        ((blog.site, blog.blog_id), kept.author_id)
        for blog in after
        if (kept := before.get((blog.site, blog.blog_id))) and kept.author_id != blog.author_id
    ]


async def to_move(engine: Engine, spans: Sequence[Span]) -> dict[Span, int]:
    """How many events of the months that the spans touch have another author than the registry says, by month; those
    without any are left out. Reads blog and author of the events alone."""
    asked = merged(whole_buckets(_MONTH, spans), MOST)
    if not asked:
        return {}
    sql = f"""\
SELECT toYYYYMM(viewed_at) AS month, count()
FROM {EVENTS}
WHERE {within("viewed_at", EVENT, asked)}
  AND (site, blog_id, author_id) IN (SELECT site, blog_id, former FROM ({_MOVES}))
GROUP BY month
ORDER BY month"""
    rows = await engine.select(Statement(sql, bound(asked)))
    return {month_of(row[0]): row[1] for row in rows}


async def move(engine: Engine, months: Iterable[Span]) -> None:
    """All events of the months that `to_move` counts have the registered author when this returns; the rollups do not
    know of it. One call at a time. Cut off anywhere, it is to be called again.

    Raises ClickHouseError.
    """
    asked = merged(months, MOST)
    if not asked:
        return
    # One that a former call began reads the table that is dropped here.
    await settled(engine, VIEWS)
    await engine.execute(Statement(f"DROP TABLE IF EXISTS {_JOINED} SYNC"))
    await engine.execute(
        Statement(
            f"CREATE TABLE {_JOINED} (site String, blog_id String, former String, author_id String)"
            " ENGINE = Join(ANY, LEFT, site, blog_id, former)"
        )
    )
    await engine.execute(Statement(f"INSERT INTO {_JOINED} {_MOVES}"))
    # A mutation knows no current database.
    database = (await engine.select(Statement("SELECT currentDatabase()")))[0][0]
    author = f"joinGet('{database}.{_JOINED}', 'author_id', toString(site), toString(blog_id), toString(author_id))"
    sql = f"""\
ALTER TABLE {EVENTS}
    UPDATE author_id = {author}
    WHERE {within("viewed_at", EVENT, asked)} AND {author} != ''"""
    await mutate(engine, VIEWS, Statement(sql, bound(asked)))
    await engine.execute(Statement(f"DROP TABLE IF EXISTS {_JOINED} SYNC"))
