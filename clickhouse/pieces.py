"""What the SELECTs of all plans have in common: where a segment's rows lie in time, and in which period."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from math import inf

from clickhouse.instants import epoch_ms, epoch_s, from_epoch_ms, sql_text
from clickhouse.plan import ALWAYS, Plan, Range, Segment
from clickhouse.question import Asked
from clickhouse.shapes import DAY, HOUR, Grain
from clickhouse.statement import Value

# Ranges up to here are spelled out, which lets the primary key skip what lies between them.
_SPELLED_OUT = 50

# A server takes 128 kB a value.
_MOST_HOURS = 11_000

_TYPES = "DateTime('UTC')", "DateTime64(3, 'UTC')"


def time_of(question: Asked, segment: Segment) -> tuple[str, str]:
    """The column of time of a segment's rows `t`, and its type."""
    bucket, instant = _TYPES
    return ("t.bucket", bucket) if segment.source.grain else (f"t.{question.dataset.time}", instant)


def key(question: Asked, segment: Segment, number: int, values: dict[str, Value]) -> list[str]:
    """Conditions on site, dimension set and time; adds what is bound to `values`, which holds the site."""
    source = segment.source
    found = ["t.site = {site:String}"]
    if source.dimension_set:
        found.append(f"t.dimension_set = '{source.dimension_set.name}'")
    if segment.ranges != (ALWAYS,):
        found += _in_ranges(segment, time_of(question, segment), number, values)
    return found


def union(selects: list[str]) -> str:
    return "\n    UNION ALL\n".join(selects)


def ends(question: Asked, plan: Plan, wheres: Sequence[str]) -> str:
    """Of the rows of all segments, each by its WHERE: the first and the last bucket start, or instant where raw answers
    (epoch ms), and how many there are."""
    selects = []
    for segment, where in zip(plan.segments, wheres, strict=True):
        column, _ = time_of(question, segment)
        instant = (
            f"toInt64(toUnixTimestamp({column})) * 1000"
            if segment.source.grain
            else f"toUnixTimestamp64Milli({column})"
        )
        selects.append(f"""\
    SELECT min({instant}) AS first, max({instant}) AS last, count() AS rows
    FROM {segment.source.table} AS t
    {where}
    HAVING rows > 0""")
    return f"""\
SELECT min(s.first), max(s.last), sum(s.rows)
FROM
(
{union(selects)}
) AS s"""


def period(question: Asked, segment: Segment, values: dict[str, Value]) -> str:
    grain = segment.source.grain
    if grain is None:
        return edge_before(f"toUnixTimestamp(t.{question.dataset.time})", question, values)
    bucket = "toUnixTimestamp(t.bucket)"
    return bucket if _are_buckets(question, grain) else edge_before(bucket, question, values)


def edge_before(seconds: str, question: Asked, values: dict[str, Value]) -> str:
    """The edges come from one place, clickhouse.periods, for every zone: ClickHouse's own toStartOf* functions
    round half-hour DST changes wrongly and would need a second opinion on each zone's history.
    """
    # Whole seconds. The first one may lie before the range's start by less than that; the WHERE clause sees to it.
    # Told as steps, each with how often it is taken: a server takes 128 kB a value, 11,000 edges spelled out, and of
    # 100,000 hours the steps change with the clocks alone.
    edges = [0, *map(epoch_s, question.edges)]
    runs = [(step, len([*run])) for step, run in groupby(later - edge for edge, later in pairwise(edges))]
    values |= {"steps": [step for step, _ in runs], "times": [times for _, times in runs]}
    steps = "arrayMap((step, times) -> arrayWithConstant(times, step), {steps:Array(UInt32)}, {times:Array(UInt32)})"
    return f"roundDown({seconds}, CAST(arrayCumSum(arrayFlatten({steps})), 'Array(UInt32)'))"


def _are_buckets(question: Asked, grain: Grain) -> bool:
    """Whether no bucket begins within a period: those that lie in one begin with it then, and name it themselves."""
    end = inf if question.end is None else epoch_ms(question.end)
    edges = [*map(epoch_ms, question.edges), end]
    return all(grain.ceiling(int(edge) + 1) >= following for edge, following in pairwise(edges))


def _in_ranges(segment: Segment, time: tuple[str, str], number: int, values: dict[str, Value]) -> Iterator[str]:
    ranges, grain = segment.ranges, segment.source.grain
    hours = _hours_of_day(ranges) if grain and grain.longest < DAY else None
    every_day = hours is not None and len(ranges) > _SPELLED_OUT and _is_every_day(ranges, hours)
    if hours is not None and grain and (grain.by_hour_of_day or every_day):
        values[f"hours_{number}"] = sorted(hours)
        yield f"toHour(t.bucket) IN {{hours_{number}:Array(UInt8)}}"
    if every_day:
        ranges = (Range(ranges[0].start, ranges[-1].end),)
    if grain and grain.longest < HOUR and not grain.by_hour_of_day and len(ranges) > _SPELLED_OUT:
        of_hours = _hours_of(ranges)
        if len(of_hours) <= _MOST_HOURS:
            # The primary key skips by it: of minutes, a year of Indian days read 10.6 M rows, and reads 3.4 M.
            values[f"of_hours_{number}"] = of_hours
            yield f"toUnixTimestamp(toStartOfHour(t.bucket)) IN {{of_hours_{number}:Array(UInt32)}}"
    yield _within(ranges, time, f"range_{number}", values)


def _within(ranges: tuple[Range, ...], time: tuple[str, str], name: str, values: dict[str, Value]) -> str:
    column, type_ = time
    if len(ranges) <= _SPELLED_OUT:
        return _either([between(one, column, type_, f"{name}_{index}", values) for index, one in enumerate(ranges)])
    # The last start at or before the row, and that one's end. Seconds will do: inside, pieces end with buckets.
    values[f"{name}_starts"] = [int(one.start) // 1000 for one in ranges]
    values[f"{name}_ends"] = [-(-int(one.end) // 1000) for one in ranges]
    whole = between(Range(ranges[0].start, ranges[-1].end), column, type_, name, values)
    starts, ends = f"{{{name}_starts:Array(UInt32)}}", f"{{{name}_ends:Array(UInt32)}}"
    seconds = f"toUnixTimestamp({column})"
    return f"{whole} AND {seconds} < transform(roundDown({seconds}, {starts}), {starts}, {ends}, toUInt32(0))"


def between(one: Range, column: str, type_: str, name: str, values: dict[str, Value]) -> str:
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


def _hours_of(ranges: tuple[Range, ...]) -> list[int]:
    """Starts of the hours that hold any of it, epoch s, ascending."""
    found = {start // 1000 for one in ranges for start in range(int(one.start) // HOUR * HOUR, int(one.end), HOUR)}
    return sorted(found)


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
