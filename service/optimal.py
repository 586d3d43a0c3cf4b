"""GET /api/rollups/optimal: what would be read for a range, of views or of samples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from clickhouse import render
from clickhouse.question import Group, SeriesQuestion
from clickhouse.rollups import sample_measure
from service.analytics.answers import Asked
from service.analytics.expiry import TAKEN, refusing_expired
from service.analytics.parameters import Parameters, Ranged
from service.analytics.plans import described
from service.analytics.ranges import Range, resolve
from service.clock import now
from service.paging import PageOf, in_json
from service.problems import Invalid
from service.requests import no_repeats
from service.series.answers import cut, planned
from service.series.intervals import table_of
from service.series.parameters import Metric
from service.state import State, state_of

router = APIRouter(tags=["operations"], dependencies=[Depends(no_repeats)])


_MEASURES = tuple(map(sample_measure, ("count", "sum", "min", "max")))


class Optimal(Parameters):
    """A question without an answer: what would be read for it."""

    dataset: Literal["views", "samples"] = "views"
    group_by: Group | None = Field(None, description="of views; default: no group, one total")
    metric: Metric | None = Field(None, description="of samples; rows are estimated where it is given")


@router.get("/api/rollups/optimal")
async def optimal(request: Request, asked: Annotated[Optimal, Query()]) -> Response:
    """The plan for a range: its grain and table, the segments, and how many rows they are estimated to hold.

    Of samples, grain and table are those of the rows that `interval=auto` gives; the segments say what is read.
    """
    state = state_of(request)
    range_ = resolve(asked, now())
    body = await (_samples(state, asked, range_) if asked.dataset == "samples" else _views(state, asked, range_))
    return in_json({"dataset": asked.dataset, **body})


async def _views(state: State, asked: Optimal, range_: Range) -> dict[str, Any]:
    if asked.metric is not None:
        raise Invalid.field("metric", "is for dataset=samples")
    question = range_.question(asked, asked.group_by, state.settings.distinct)
    with refusing_expired(asked, range_):
        found = await state.tables.plan(question)
    return await described(state.engine, Asked(found, render.totals(question, found)))


async def _samples(state: State, asked: Optimal, range_: Range) -> dict[str, Any]:
    wrong = sorted(asked.model_fields_set - Ranged.model_fields.keys() - {"dataset", "metric"})
    if wrong:
        raise Invalid.field(wrong[0], "is for dataset=views")
    if asked.metric is None and (range_.start is None or range_.end is None):
        raise Invalid.field("metric", "is required where the range is open: it ends where the metric's samples do")
    question = SeriesQuestion(asked.site, asked.metric or "", _MEASURES, range_.start, range_.end)
    with refusing_expired(asked, range_, TAKEN):
        found = await cut(state.tables, question, "auto", range_.zone)
        body = await described(state.engine, await planned(state.tables, found, PageOf(1, 1)))
    del body["counting"]  # is of distinct blogs
    return {**body, "grain": found.interval, "table": table_of(found.interval)}
