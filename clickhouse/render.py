"""A question and its segment as one SQL statement; values are bound by the server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from clickhouse.instants import epoch_s
from clickhouse.plan import Segment
from clickhouse.question import Distinct, Question
from clickhouse.rollups import Measure, measure
from clickhouse.statement import Statement, Value

# The edges come from one place, clickhouse.periods, for every zone: ClickHouse's own toStartOf* functions
# round half-hour DST changes wrongly and would need a second opinion on each zone's history.
# Whole seconds: a server takes 128 kB a value, 11,000 edges. The first one may lie before the range's start by
# less than that; the WHERE clause sees to it.
_PERIOD = "roundDown({}, {{edges:Array(UInt32)}})"


def groups(question: Question, segment: Segment, limit: int, offset: int) -> Statement:
    """Rows `(id, period, blogs, views, total)`, best first; `total` counts the rows of all pages.

    One row per group, or per group and period when the question has edges; `period` is then the edge in
    epoch seconds, else 0.

    Raises:
        ValueError: the question asks for no group.
    """
    if question.group is None:
        raise ValueError("a question without a group has no groups")
    sql = f"""\
SELECT
    t.{question.group.column} AS id,
    {_period(segment) if question.edges else "toUInt32(0)"} AS period,
    {_blogs(question, segment)} AS blogs,
    {_views(segment)} AS views,
    count() OVER () AS total
FROM {segment.table} AS t
WHERE {_where(question, segment)}
GROUP BY id, period
ORDER BY views DESC, id, period
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"""
    return Statement(sql, {**_values(question), "limit": limit, "offset": offset})


def by_period(question: Question, segment: Segment) -> Statement:
    """Rows `(period, blogs, views)`: one per period that has views; `period` is an edge in epoch s."""
    sql = f"""\
SELECT
    {_period(segment)} AS period,
    {_blogs(question, segment)} AS blogs,
    {_views(segment)} AS views
FROM {segment.table} AS t
WHERE {_where(question, segment)}
GROUP BY period
ORDER BY period"""
    return Statement(sql, _values(question))


def bounds(question: Question, segment: Segment) -> Statement:
    """One row `(first, last, rows)` in epoch ms: the first and last bucket, or event where raw answers."""
    sql = f"""\
SELECT min({_time(segment)}), max({_time(segment)}), count()
FROM {segment.table} AS t
WHERE {_where(question, segment)}"""
    return Statement(sql, _values(question))


def creations(question: Question) -> Statement:
    """Rows `(period, blogs)`: blogs created in each period. A country filter looks at the blog's country."""
    sql = f"""\
SELECT {_PERIOD.format("toUnixTimestamp(t.created_at)")} AS period, count() AS blogs
FROM blogs AS t FINAL
WHERE {_where_created(question)}
GROUP BY period
ORDER BY period"""
    return Statement(sql, _values(question))


def creation_bounds(question: Question) -> Statement:
    """One row `(first, last, rows)` in epoch ms over the blogs that `creations` would count."""
    sql = f"""\
SELECT min(toUnixTimestamp64Milli(t.created_at)), max(toUnixTimestamp64Milli(t.created_at)), count()
FROM blogs AS t FINAL
WHERE {_where_created(question)}"""
    return Statement(sql, _values(question))


def _time(segment: Segment) -> str:
    return "toInt64(toUnixTimestamp(t.bucket)) * 1000" if segment.grain else "toUnixTimestamp64Milli(t.viewed_at)"


def _period(segment: Segment) -> str:
    return _PERIOD.format(f"toUnixTimestamp({'t.bucket' if segment.grain else 't.viewed_at'})")


def _views(segment: Segment) -> str:
    return _merged(measure("views")) if segment.grain else "count()"


def _blogs(question: Question, segment: Segment) -> str:
    blogs = measure("blogs")
    if segment.dimension_set and blogs.key not in segment.dimension_set.columns:
        return _merged(blogs)
    function = "uniqExact" if question.distinct is Distinct.EXACT else "uniq"
    return f"{function}(t.{blogs.key})"


def _merged(of: Measure) -> str:
    return of.read.format(f"t.{of.name}")


def _where(question: Question, segment: Segment) -> str:
    conditions = ["t.site = {site:String}"]
    if segment.grain and segment.dimension_set:
        conditions.append(f"t.dimension_set = '{segment.dimension_set.name}'")
        conditions += _range(question, "t.bucket", "DateTime('UTC')")
    else:
        conditions += _range(question, "t.viewed_at", "DateTime64(3, 'UTC')")
    return "\n  AND ".join([*conditions, *_filters(question)])


def _where_created(question: Question) -> str:
    created = _range(question, "t.created_at", "DateTime64(3, 'UTC')")
    return "\n  AND ".join(["t.site = {site:String}", *created, *_filters(question)])


def _range(question: Question, column: str, column_type: str) -> Iterator[str]:
    if question.start is not None:
        yield f"{column} >= {{start:{column_type}}}"
    if question.end is not None:
        yield f"{column} < {{end:{column_type}}}"


def _filters(question: Question) -> Iterator[str]:
    asked = question.filters
    if asked.countries is not None:
        yield "t.country IN {countries:Array(String)}"
    if asked.excluded_countries:
        yield "t.country NOT IN {excluded_countries:Array(String)}"
    if asked.author_id is not None:
        yield "t.author_id = {author_id:String}"
    if asked.author_username is not None:
        yield (
            "t.author_id IN (SELECT author_id FROM authors FINAL"
            " WHERE site = {site:String} AND username = {author_username:String})"
        )
    if asked.blog_id is not None:
        yield "t.blog_id = {blog_id:String}"


def _values(question: Question) -> dict[str, Value]:
    """Every value a statement over this question may name; the server ignores those it does not."""
    asked = question.filters
    values: dict[str, Value | None] = {
        "site": question.site,
        "start": _instant(question.start),
        "end": _instant(question.end),
        "edges": [epoch_s(edge) for edge in question.edges],
        "countries": list(asked.countries) if asked.countries is not None else None,
        "excluded_countries": list(asked.excluded_countries),
        "author_id": asked.author_id,
        "author_username": asked.author_username,
        "blog_id": asked.blog_id,
    }
    return {name: value for name, value in values.items() if value is not None}


def _instant(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    # A DateTime refuses a fraction, even .000; only raw (DateTime64) is ever asked for one.
    fraction = f".{instant.microsecond // 1000:03d}" if instant.microsecond else ""
    return f"{instant:%Y-%m-%d %H:%M:%S}{fraction}"
