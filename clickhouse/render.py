"""A question and its plan as one SQL statement; values are bound by the server."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import inf

from clickhouse import conditions
from clickhouse.instants import epoch_ms, epoch_s, from_epoch_ms, sql_text
from clickhouse.plan import ALWAYS, Counting, Plan, Range, Segment
from clickhouse.question import ANY_ROW, Group, Question
from clickhouse.rollups import DAY, HOUR, Grain, measure
from clickhouse.statement import Statement, Value

# Ranges up to here are spelled out, which lets the primary key skip what lies between them.
_SPELLED_OUT = 50

_BUCKET = ("t.bucket", "DateTime('UTC')")
_VIEWED_AT = ("t.viewed_at", "DateTime64(3, 'UTC')")
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
    selects = []
    for number, segment in enumerate(plan.segments):
        seconds = segment.source.grain is not None
        time = "toInt64(toUnixTimestamp(t.bucket)) * 1000" if seconds else "toUnixTimestamp64Milli(t.viewed_at)"
        selects.append(f"""\
    SELECT min({time}) AS first, max({time}) AS last, count() AS rows
    FROM {segment.source.table} AS t
    {_where(question, segment, number, values)}
    HAVING rows > 0""")
    sql = f"""\
SELECT min(s.first), max(s.last), sum(s.rows)
FROM
(
{_union(selects)}
) AS s"""
    return Statement(sql, values)


def creations(question: Question) -> Statement:
    """Rows `(period, blogs)`: blogs created in each period. A country filter looks at the blog's country."""
    values: dict[str, Value] = {"site": question.site}
    sql = f"""\
SELECT {_edge_before("toUnixTimestamp(t.created_at)", question, values)} AS period, count() AS blogs
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
    return _union([_segment(question, plan, each, number, values) for number, each in enumerate(plan.segments)])


def _union(selects: list[str]) -> str:
    return "\n    UNION ALL\n".join(selects)


def _segment(question: Question, plan: Plan, segment: Segment, number: int, values: dict[str, Value]) -> str:
    """Rows `(id?, period?, blogs or blog, views)`; those of raw are grouped, a rollup's are taken as they are."""
    raw = segment.source.grain is None
    keys: dict[str, str] = {}
    if question.group:
        keys["id"] = f"t.{question.group.column}"
    if question.edges:
        keys["period"] = _period(question, segment, values)
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


def _period(question: Question, segment: Segment, values: dict[str, Value]) -> str:
    grain = segment.source.grain
    if grain is None:
        return _edge_before("toUnixTimestamp(t.viewed_at)", question, values)
    bucket = "toUnixTimestamp(t.bucket)"
    return bucket if _are_buckets(question, grain) else _edge_before(bucket, question, values)


def _edge_before(seconds: str, question: Question, values: dict[str, Value]) -> str:
    """The edges come from one place, clickhouse.periods, for every zone: ClickHouse's own toStartOf* functions
    round half-hour DST changes wrongly and would need a second opinion on each zone's history.
    """
    # Whole seconds: a server takes 128 kB a value, 11,000 edges. The first one may lie before the range's start by
    # less than that; the WHERE clause sees to it.
    values["edges"] = [epoch_s(edge) for edge in question.edges]
    return f"roundDown({seconds}, {{edges:Array(UInt32)}})"


def _are_buckets(question: Question, grain: Grain) -> bool:
    """Whether no bucket begins within a period: those that lie in one begin with it then, and name it themselves."""
    end = inf if question.end is None else epoch_ms(question.end)
    edges = [*map(epoch_ms, question.edges), end]
    return all(grain.ceiling(int(edge) + 1) >= following for edge, following in pairwise(edges))


def _where(question: Question, segment: Segment, number: int, values: dict[str, Value]) -> str:
    """What the key decides, after PREWHERE for the rest; adds what is bound to `values`."""
    source = segment.source
    found = ["t.site = {site:String}"]
    if source.dimension_set:
        found.append(f"t.dimension_set = '{source.dimension_set.name}'")
    time = _BUCKET if source.grain else _VIEWED_AT
    if segment.ranges != (ALWAYS,):
        found += _in_ranges(segment, time, number, values)
    first = "".join(f"PREWHERE {sql}\n    " for sql in _condition(question, time, "t.viewer", values))
    return first + "WHERE " + "\n      AND ".join(found)


def _in_ranges(segment: Segment, time: tuple[str, str], number: int, values: dict[str, Value]) -> Iterator[str]:
    ranges, grain = segment.ranges, segment.source.grain
    hours = _hours_of_day(ranges) if grain and grain.longest < DAY else None
    every_day = hours is not None and len(ranges) > _SPELLED_OUT and _is_every_day(ranges, hours)
    if hours is not None and grain and (grain.by_hour_of_day or every_day):
        values[f"hours_{number}"] = sorted(hours)
        yield f"toHour(t.bucket) IN {{hours_{number}:Array(UInt8)}}"
    if every_day:
        ranges = (Range(ranges[0].start, ranges[-1].end),)
    yield _within(ranges, time, f"range_{number}", values)


def _within(ranges: tuple[Range, ...], time: tuple[str, str], name: str, values: dict[str, Value]) -> str:
    column, type_ = time
    if len(ranges) <= _SPELLED_OUT:
        return _either([_between(one, column, type_, f"{name}_{index}", values) for index, one in enumerate(ranges)])
    # The last start at or before the row, and that one's end. Seconds will do: inside, pieces end with buckets.
    values[f"{name}_starts"] = [int(one.start) // 1000 for one in ranges]
    values[f"{name}_ends"] = [-(-int(one.end) // 1000) for one in ranges]
    whole = _between(Range(ranges[0].start, ranges[-1].end), column, type_, name, values)
    starts, ends = f"{{{name}_starts:Array(UInt32)}}", f"{{{name}_ends:Array(UInt32)}}"
    seconds = f"toUnixTimestamp({column})"
    return f"{whole} AND {seconds} < transform(roundDown({seconds}, {starts}), {starts}, {ends}, toUInt32(0))"


def _between(one: Range, column: str, type_: str, name: str, values: dict[str, Value]) -> str:
    found = []
    if one.start != -inf:
        values[f"{name}_start"] = sql_text(from_epoch_ms(max(int(one.start), 0)))
        found.append(f"{column} >= {{{name}_start:{type_}}}")
    if one.end != inf:
        values[f"{name}_end"] = sql_text(from_epoch_ms(max(int(one.end), 0)))
        found.append(f"{column} < {{{name}_end:{type_}}}")
    return " AND ".join(found)


def _either(conditions_: list[str]) -> str:
    return conditions_[0] if len(conditions_) == 1 else f"(({') OR ('.join(conditions_)}))"


def _hours_of_day(ranges: tuple[Range, ...]) -> set[int] | None:
    """The hours of the UTC day that hold any of it; None when that is each of them."""
    hours: set[int] = set()
    for one in ranges:
        if one.end - one.start >= DAY:
            return None
        hours |= {start // HOUR % 24 for start in range(int(one.start) // HOUR * HOUR, int(one.end), HOUR)}
    return hours if len(hours) < 24 else None


def _is_every_day(ranges: tuple[Range, ...], hours: set[int]) -> bool:
    """Whether the ranges are just these hours of each day, from the first to the last: those around the midnights of a
    zone that keeps its offset. A thousand ranges are then one, and a few hours."""
    start, end = int(ranges[0].start), int(ranges[-1].end)
    if any(int(side) % HOUR for one in ranges for side in one):
        return False
    days = [(end - hour * HOUR - 1) // DAY - (start - hour * HOUR - 1) // DAY for hour in hours]
    return sum(days) * HOUR == sum(one.end - one.start for one in ranges)


def _where_created(question: Question, values: dict[str, Value]) -> str:
    found = ["t.site = {site:String}"]
    asked = Range(
        -inf if question.start is None else epoch_ms(question.start),
        inf if question.end is None else epoch_ms(question.end),
    )
    if asked != ALWAYS:
        found.append(_between(asked, *_CREATED_AT, "created", values))
    return "\n  AND ".join([*found, *_condition(question, _CREATED_AT, None, values)])


def _condition(
    question: Question, time: tuple[str, str], viewer: str | None, values: dict[str, Value]
) -> Iterator[str]:
    if question.condition != ANY_ROW:
        sql, bound = conditions.sql(question.condition, time[0], viewer)
        values.update(bound)
        yield sql
