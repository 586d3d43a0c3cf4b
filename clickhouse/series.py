"""A question about samples and its plan as one SQL statement; values are bound by the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clickhouse.instants import epoch_ms
from clickhouse.pieces import between, ends, key, period, union
from clickhouse.plan import Plan, Range, Segment
from clickhouse.question import SeriesQuestion
from clickhouse.rollups import EXACT_QUANTILES, SAMPLES
from clickhouse.shapes import Measure
from clickhouse.statement import Statement, Value

_AT = ("t.at", "DateTime64(3, 'UTC')")


def buckets(question: SeriesQuestion, plan: Plan, limit: int, offset: int) -> Statement:
    """Rows `(period, group, measures…, total)`, periods ascending, then groups; `total` counts the rows of all pages.

    `period` is an edge in epoch seconds (0 without edges), `group` the values of the labels asked for, in their order.
    A measure of quantiles is an array, from sketches only where a rollup has a part of the answer.
    """
    if all(each.source.grain is None for each in plan.segments):
        exact = tuple(EXACT_QUANTILES if one.name == EXACT_QUANTILES.name else one for one in question.measures)
        question = replace(question, measures=exact)
    values: dict[str, Value] = {"site": question.site, "metric": question.metric}
    measures = ",\n    ".join(f"{one.read.format(f's.{_state(one)}')} AS {_final(one)}" for one in question.measures)
    sql = f"""\
SELECT
    s.period AS period,
    s.labels AS labels,
    {measures},
    count() OVER () AS total
FROM
(
{union([_segment(question, each, number, values) for number, each in enumerate(plan.segments)])}
) AS s
GROUP BY period, labels
ORDER BY period, labels
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"""
    return Statement(sql, {**values, "limit": limit, "offset": offset})


def points(question: SeriesQuestion, limit: int, offset: int) -> Statement:
    """Rows `(at in epoch ms, labels as JSON, value, total)`: the samples themselves, oldest first, then by labels.
    Of a sample that was corrected and not reconciled yet both values are there."""
    values: dict[str, Value] = {"site": question.site, "metric": question.metric}
    where = "\n  AND ".join([*_of_series(values), *_asked_time(question, values), *_labels(question, values)])
    # Counted apart: a window over two million samples takes three times as long as both.
    sql = f"""\
SELECT
    toUnixTimestamp64Milli(t.at) AS instant,
    t.labels AS labels,
    t.value AS value,
    (SELECT count() FROM {SAMPLES} AS t WHERE {where}) AS total
FROM {SAMPLES} AS t
WHERE {where}
ORDER BY t.at, labels, t.received_at
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"""
    return Statement(sql, {**values, "limit": limit, "offset": offset})


def following(question: SeriesQuestion, limit: int, after: tuple[str, int] | None = None) -> Statement:
    """Rows `(labels as JSON, at in epoch ms, value)`: the samples themselves, by labels, then oldest first, of a time
    the one first that came last; those behind the labels and the instant `after`, in the order of raw's key."""
    values: dict[str, Value] = {"site": question.site, "metric": question.metric, "limit": limit}
    conditions = [*_of_series(values), *_asked_time(question, values), *_labels(question, values)]
    if after is not None:
        values |= {"last_labels": after[0], "last_at": after[1]}
        at = "fromUnixTimestamp64Milli({last_at:Int64}, 'UTC')"
        conditions.append(f"(t.labels > {{last_labels:String}} OR (t.labels = {{last_labels:String}} AND t.at > {at}))")
    where = "\n  AND ".join(conditions)
    sql = f"""\
SELECT t.labels AS labels, toUnixTimestamp64Milli(t.at) AS instant, t.value AS value
FROM {SAMPLES} AS t
WHERE {where}
ORDER BY t.labels, t.at, t.received_at DESC, t.value DESC
LIMIT {{limit:UInt32}}"""
    return Statement(sql, values)


def longest_labels(question: SeriesQuestion) -> Statement:
    """One row: the bytes of the longest labels among what `following` gives; 0 where that is nothing."""
    values: dict[str, Value] = {"site": question.site, "metric": question.metric}
    where = "\n  AND ".join([*_of_series(values), *_asked_time(question, values), *_labels(question, values)])
    return Statement(f"SELECT max(length(t.labels))\nFROM {SAMPLES} AS t\nWHERE {where}", values)


def bounds(question: SeriesQuestion, plan: Plan) -> Statement:
    """One row `(first, last, rows)` in epoch ms: the first and the last bucket, or sample where raw answers."""
    values: dict[str, Value] = {"site": question.site, "metric": question.metric}
    wheres = [_where(question, each, number, values) for number, each in enumerate(plan.segments)]
    return Statement(ends(question, plan, wheres), values)


def _state(measure: Measure) -> str:
    """Names of their own: an alias `sum` of `sum(…)` is taken for its own argument."""
    return f"{measure.name}_state"


def _final(measure: Measure) -> str:
    return f"{measure.name}_final"


def _segment(question: SeriesQuestion, segment: Segment, number: int, values: dict[str, Value]) -> str:
    """Rows `(period, labels, states)`; those of raw are grouped, a rollup's are taken as they are."""
    raw = segment.source.grain is None
    keys = {
        "period": period(question, segment, values) if question.edges else "toUInt32(0)",
        "labels": _group(question, values),
    }
    numbers = {
        _state(one): one.create.replace("e.value", "t.value").replace("e.at", "t.at") if raw else f"t.{one.name}"
        for one in question.measures
    }
    columns = ",\n        ".join(f"{sql} AS {name}" for name, sql in {**keys, **numbers}.items())
    grouped = f"\n    GROUP BY {', '.join(keys)}" if raw else ""
    return f"""\
    SELECT
        {columns}
    FROM {segment.source.table} AS t
    {_where(question, segment, number, values)}{grouped}"""


def _group(question: SeriesQuestion, values: dict[str, Value]) -> str:
    found = []
    for number, name in enumerate(question.group_by):
        values[f"group_{number}"] = name
        found.append(f"JSONExtractString(t.labels, {{group_{number}:String}})")
    return f"[{', '.join(found)}]" if found else "CAST([], 'Array(String)')"


def _where(question: SeriesQuestion, segment: Segment, number: int, values: dict[str, Value]) -> str:
    found = [*key(question, segment, number, values), "t.metric = {metric:String}", *_labels(question, values)]
    return "WHERE " + "\n      AND ".join(found)


def _labels(question: SeriesQuestion, values: dict[str, Value]) -> Iterator[str]:
    for number, (name, wanted) in enumerate(question.labels):
        values |= {f"label_{number}": name, f"wanted_{number}": list(wanted)}
        yield f"JSONExtractString(t.labels, {{label_{number}:String}}) IN {{wanted_{number}:Array(String)}}"


def _of_series(values: dict[str, Value]) -> Iterator[str]:
    yield "t.site = {site:String}"
    yield "t.metric = {metric:String}"


def _asked_time(question: SeriesQuestion, values: dict[str, Value]) -> Iterator[str]:
    start = -float("inf") if question.start is None else epoch_ms(question.start)
    end = float("inf") if question.end is None else epoch_ms(question.end)
    if sql := between(Range(start, end), *_AT, "asked", values):
        yield sql
