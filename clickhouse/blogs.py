"""The registry of blogs and authors: upsert, look up, list."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clickhouse import native
from clickhouse.engine import Engine, Row
from clickhouse.statement import Statement, portions

Key = tuple[str, str]
"""A site, and the id of a blog or an author of it."""


class Blog(NamedTuple):
    """One post of a site. `created_at` is epoch milliseconds; empty strings are unknown."""

    site: str
    blog_id: str
    title: str
    author_id: str
    country: str
    created_at: int


class Author(NamedTuple):
    """Who wrote it; empty strings are unknown."""

    site: str
    author_id: str
    username: str
    name: str


# Selected in the order of the NamedTuple's fields.
_SELECT_BLOG = "SELECT site, blog_id, title, author_id, country, toUnixTimestamp64Milli(created_at) FROM blogs FINAL"
_SELECT_AUTHOR = "SELECT site, author_id, username, name FROM authors FINAL"


async def upsert_blogs(engine: Engine, blogs: Sequence[Blog]) -> None:
    """Each replaces the row of its (site, blog_id); at least one, none twice."""
    await _insert(engine, "blogs", Blog._fields, blogs)


async def upsert_authors(engine: Engine, authors: Sequence[Author]) -> None:
    """Each replaces the row of its (site, author_id); at least one, none twice."""
    await _insert(engine, "authors", Author._fields, authors)


async def find_blogs(engine: Engine, keys: Iterable[Key]) -> dict[Key, Blog]:
    """Those of the given (site, blog_id) that are registered."""
    rows = await find_rows(engine, _SELECT_BLOG, "blog_id", keys)
    return {(row[0], row[1]): Blog(*row) for row in rows}


async def find_authors(engine: Engine, keys: Iterable[Key]) -> dict[Key, Author]:
    """Those of the given (site, author_id) that are registered."""
    rows = await find_rows(engine, _SELECT_AUTHOR, "author_id", keys)
    return {(row[0], row[1]): Author(*row) for row in rows}


async def list_blogs(engine: Engine, site: str, limit: int, offset: int) -> tuple[int, list[Blog]]:
    """How many the site has, and one page of them by blog_id."""
    total = await engine.select(Statement("SELECT count() FROM blogs FINAL WHERE site = {site:String}", {"site": site}))
    page = f"{_SELECT_BLOG} WHERE site = {{site:String}} ORDER BY blog_id {_PAGE}"
    rows = await engine.select(Statement(page, {"site": site, "limit": limit, "offset": offset}))
    return total[0][0], [Blog(*row) for row in rows]


async def list_authors(engine: Engine, site: str, limit: int, offset: int) -> tuple[int, list[Author]]:
    """How many the site has, and one page of them by author_id."""
    total = await engine.select(
        Statement("SELECT count() FROM authors FINAL WHERE site = {site:String}", {"site": site})
    )
    page = f"{_SELECT_AUTHOR} WHERE site = {{site:String}} ORDER BY author_id {_PAGE}"
    rows = await engine.select(Statement(page, {"site": site, "limit": limit, "offset": offset}))
    return total[0][0], [Author(*row) for row in rows]


_PAGE = "LIMIT {limit:UInt32} OFFSET {offset:UInt64}"


async def find_rows(engine: Engine, select: str, column: str, keys: Iterable[Key]) -> list[Row]:
    """The rows of `select` with these keys of (site, `column`), in as many statements as it takes to bind them."""
    wanted = "SELECT arrayJoin(arrayZip({sites:Array(String)}, {ids:Array(String)}))"
    sql = f"{select} WHERE (site, {column}) IN ({wanted})"
    statements = [
        Statement(sql, {"sites": [site for site, _ in portion], "ids": [id_ for _, id_ in portion]})
        for portion in portions(sorted(set(keys)), lambda key: key)
    ]
    found = await asyncio.gather(*map(engine.select, statements))
    return [row for rows in found for row in rows]


async def _insert(engine: Engine, table: str, fields: Sequence[str], rows: Sequence[tuple[str | int, ...]]) -> None:
    columns = [
        native.Column(name, "DateTime64(3, 'UTC')", native.int64s(values))
        if name == "created_at"
        else native.Column(name, "String", native.strings(values))
        for name, values in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    await engine.insert(table, fields, native.block(len(rows), columns), {"async_insert": "0"})
