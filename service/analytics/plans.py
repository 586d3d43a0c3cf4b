"""How a question is answered: the segments of its plan, the rows they hold, and the rows that were read."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from clickhouse import render
from clickhouse.engine import Engine
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.plan import ALWAYS, Plan, Range, Segment
from clickhouse.statement import Statement
from service.analytics.answers import Asked
from service.analytics.expiry import refusing_expired
from service.analytics.parameters import Optimal
from service.analytics.ranges import resolve
from service.clock import now
from service.requests import no_repeats
from service.state import state_of

router = APIRouter(tags=["operations"], dependencies=[Depends(no_repeats)])


@router.get("/api/rollups/optimal")
async def optimal(request: Request, asked: Annotated[Optimal, Query()]) -> Response:
    """The plan for a range: its grain and table, the segments, and how many rows they are estimated to hold."""
    state = state_of(request)
    range_ = resolve(asked, now())
    question = range_.question(asked, asked.group_by, state.settings.distinct)
    with refusing_expired(asked, range_):
        found = await state.tables.plan(question)
    body = await described(state.engine, Asked(found, render.totals(question, found)))
    return Response(msgspec.json.encode({"dataset": "views", **body}), media_type="application/json")


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
