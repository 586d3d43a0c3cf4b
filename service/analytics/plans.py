"""How a question is answered: the segments of its plan, the rows they hold, and the rows that were read."""

from __future__ import annotations

from math import isfinite
from typing import Any

from clickhouse.engine import Engine
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.plan import ALWAYS, Plan, Range, Segment
from clickhouse.statement import Statement
from service.analytics.answers import Asked


async def explained(engine: Engine, asked: Asked) -> dict[str, Any]:
    """The description of a plan, and the rows of tables that its statement really reads; it is run once more."""
    return {**await described(engine, asked), "read_rows": await engine.rows_read(asked.statement)}


async def described(engine: Engine, asked: Asked) -> dict[str, Any]:
    """`grain` and `table` are those of the longest part; `estimated_rows` are what the index leaves to read."""
    main = _main(asked.plan)
    estimate = Statement(f"EXPLAIN ESTIMATE\n{asked.statement.sql}", asked.statement.values)
    rows = {row[1]: row[3] for row in await engine.ask(estimate)}
    return {
        "grain": main.source.grain_name,
        "table": main.source.table,
        "dimension_set": _dimension_set(main),
        "counting": asked.plan.counting.value,
        "segments": [
            {
                "grain": segment.source.grain_name,
                "table": segment.source.table,
                "dimension_set": _dimension_set(segment),
                "start": _instant(segment.ranges[0].start),
                "end": _instant(segment.ranges[-1].end),
                "ranges": len(segment.ranges),
                "estimated_rows": rows.get(segment.source.table, 0),
            }
            for segment in asked.plan.segments
        ],
        "estimated_rows": sum(rows.values()),
    }


def _main(found: Plan) -> Segment:
    return max(found.segments, key=lambda segment: sum(map(_length, segment.ranges)))


def _length(of: Range) -> float:
    return of.end - of.start if of != ALWAYS else float("inf")


def _dimension_set(segment: Segment) -> str | None:
    return segment.source.dimension_set.name if segment.source.dimension_set else None


def _instant(milliseconds: float) -> str | None:
    return rfc3339(from_epoch_ms(int(milliseconds))) if isfinite(milliseconds) else None
