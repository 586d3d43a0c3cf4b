"""A question about views and its plan as one SQL statement; values are bound by the server."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from clickhouse import conditions
from clickhouse.instants import epoch_ms
from clickhouse.pieces import between, edge_before, ends, key, period, time_of, union
from clickhouse.plan import ALWAYS, Counting, Plan, Range, Segment
from clickhouse.question import ANY_ROW, Group, Question
from clickhouse.rollups import measure
from clickhouse.statement import Statement, Value

_CREATED_AT = ("t.created_at", "DateTime64(3, 'UTC')")


def groups(question: Question, plan: Plan, limit: int, offset: int) -> Statement:
    """Rows `(id, period, blogs, views, total)`, best first; `total` counts the rows of all pages.

    One row per group, or per group and period when the question has edges; `period` is then the edge in
    epoch seconds, else 0.

    Raises:
        ValueError: the question asks for no group.
    """
    if question.group is None:
        raise ValueError("a question without a group has no groups")
    values: dict[str, Value] = {"site": question.site}
    keys = "id, period" if question.edges else "id"
    sql = f"""\
SELECT
    s.id AS id,
    {"s.period" if question.edges else "toUInt32(0)"} AS period,
    {_blogs(question, plan)} AS blogs,
    sum(s.views) AS views,
    count() OVER () AS total
FROM
(
{_segments(question, plan, values)}
) AS s
GROUP BY {keys}
ORDER BY views DESC, {keys}
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"""
    return Statement(sql, {**values, "limit": limit, "offset": offset})


def totals(question: Question, plan: Plan) -> Statement:
    """Rows `(id?, blogs, views)` without order: one, or one per group."""
    values: dict[str, Value] = {"site": question.site}
    group = "s.id AS id,\n    " if question.group else ""
    sql = f"""\
SELECT
    {group}{_blogs(question, plan)} AS blogs,
    sum(s.views) AS views
FROM
(
{_segments(question, plan, values)}
) AS s{
        '''
GROUP BY id'''
        if question.group
        else ""
    }"""
    return Statement(sql, values)


def by_period(question: Question, plan: Plan) -> Statement:
    """Rows `(period, blogs, views)`: one per period that has views; `period` is an edge in epoch s."""
    values: dict[str, Value] = {"site": question.site}
    sql = f"""\
SELECT
    s.period AS period,
    {_blogs(question, plan)} AS blogs,
    sum(s.views) AS views
FROM
(
{_segments(question, plan, values)}
) AS s
GROUP BY period
ORDER BY period"""
    return Statement(sql, values)


def bounds(question: Question, plan: Plan) -> Statement:
    """One row `(first, last, rows)` in epoch ms: the first and the last bucket, or event where raw answers."""
    values: dict[str, Value] = {"site": question.site}
    wheres = [_where(question, each, number, values) for number, each in enumerate(plan.segments)]
    return Statement(ends(question, plan, wheres), values)


def creations(question: Question) -> Statement:
    """Rows `(period, blogs)`: blogs created in each period. A country filter looks at the blog's country."""
    values: dict[str, Value] = {"site": question.site}
    sql = f"""\
SELECT {edge_before("toUnixTimestamp(t.created_at)", question, values)} AS period, count() AS blogs
FROM blogs AS t FINAL
WHERE {_where_created(question, values)}
GROUP BY period
ORDER BY period"""
    return Statement(sql, values)


def creation_bounds(question: Question) -> Statement:
    """One row `(first, last, rows)` in epoch ms over the blogs that `creations` would count."""
    values: dict[str, Value] = {"site": question.site}
    sql = f"""\
SELECT min(toUnixTimestamp64Milli(t.created_at)), max(toUnixTimestamp64Milli(t.created_at)), count()
FROM blogs AS t FINAL
WHERE {_where_created(question, values)}"""
    return Statement(sql, values)


def _blogs(question: Question, plan: Plan) -> str:
    if question.group is Group.BLOG:
        return "toUInt64(1)"  # each is itself
    return measure("blogs").read.format("s.blogs") if plan.counting is Counting.STATES else "uniqExact(s.blog)"


def _segments(question: Question, plan: Plan, values: dict[str, Value]) -> str:
    return union([_segment(question, plan, each, number, values) for number, each in enumerate(plan.segments)])


def _segment(question: Question, plan: Plan, segment: Segment, number: int, values: dict[str, Value]) -> str:
    """Rows `(id?, period?, blogs or blog, views)`; those of raw are grouped, a rollup's are taken as they are."""
    raw = segment.source.grain is None
    keys: dict[str, str] = {}
    if question.group:
        keys["id"] = f"t.{question.group.column}"
    if question.edges:
        keys["period"] = period(question, segment, values)
    numbers: dict[str, str] = {}
    if question.group is not Group.BLOG:
        blogs = measure("blogs")
        if plan.counting is Counting.KEYS:
            keys["blog"] = f"t.{blogs.key}"
        else:
            numbers["blogs"] = "groupBitmapState(t.blog_number)" if raw else f"t.{blogs.name}"
    numbers["views"] = "count()" if raw else "t.views"
    columns = ",\n        ".join(f"{sql} AS {name}" for name, sql in {**keys, **numbers}.items())
    grouped = f"\n    GROUP BY {', '.join(keys)}" if raw and keys else ""
    return f"""\
    SELECT
        {columns}
    FROM {segment.source.table} AS t
    {_where(question, segment, number, values)}{grouped}"""


def _where(question: Question, segment: Segment, number: int, values: dict[str, Value]) -> str:
    """What the key decides, after PREWHERE for the rest; adds what is bound to `values`."""
    found = key(question, segment, number, values)
    time = time_of(question, segment)
    first = "".join(f"PREWHERE {sql}\n    " for sql in _condition(question, time, "t.viewer", values))
    return first + "WHERE " + "\n      AND ".join(found)


def _where_created(question: Question, values: dict[str, Value]) -> str:
    found = ["t.site = {site:String}"]
    asked = Range(
        -inf if question.start is None else epoch_ms(question.start),
        inf if question.end is None else epoch_ms(question.end),
    )
    if asked != ALWAYS:
        found.append(between(asked, *_CREATED_AT, "created", values))
    return "\n  AND ".join([*found, *_condition(question, _CREATED_AT, None, values)])


def _condition(
    question: Question, time: tuple[str, str], viewer: str | None, values: dict[str, Value]
) -> Iterator[str]:
    if question.condition != ANY_ROW:
        sql, bound = conditions.sql(question.condition, time[0], viewer)
        values.update(bound)
        yield sql
