"""/api/samples/query by GET and by POST, with the same names; /api/samples/metrics and /labels say what there is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from clickhouse import catalogue
from clickhouse.engine import Row
from clickhouse.instants import from_epoch_ms, rfc3339
from service.analytics.answers import Answer
from service.analytics.expiry import TAKEN, refusing_expired
from service.analytics.plans import explained
from service.analytics.ranges import Range, resolve
from service.clock import now
from service.paging import PageOf, envelope, in_json
from service.requests import json_only, refuse_repeats
from service.series.answers import Cut, answered, cut
from service.series.intervals import table_of
from service.series.parameters import LISTS, LabelsQuery, MetricsQuery, SeriesQuery
from service.series.rows import QUERY_BODY, LabelsOfMetric, MetricPage, SeriesPage
from service.state import state_of
from workers.metrics import Endpoint


async def lists_repeat(request: Request) -> None:
    refuse_repeats(request, LISTS)


router = APIRouter(prefix="/api/samples", tags=["samples"], dependencies=[Depends(lists_repeat), Depends(json_only)])


@router.get("/query", response_model=SeriesPage)
async def get_query(request: Request, asked: Annotated[SeriesQuery, Query()]) -> Response:
    """Average, least, greatest and other numbers of a metric's samples, per bucket and per group of label values."""
    return await _query(request, asked)


@router.post("/query", response_model=SeriesPage)
async def post_query(request: Request, asked: Annotated[SeriesQuery, Body(openapi_examples=QUERY_BODY)]) -> Response:
    """Numbers of a metric's samples per bucket and group, asked by JSON."""
    return await _query(request, asked)


@router.get("/metrics", response_model=MetricPage)
async def get_metrics(request: Request, asked: Annotated[MetricsQuery, Query()]) -> Response:
    """The metrics of a site, by name: how many samples there are, and from when to when."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    rows = await state.engine.ask(catalogue.metrics(asked.site, page.size, page.offset))
    results = [
        {"metric": name, "samples": samples, "first": _instant(first), "last": _instant(last)}
        for name, samples, first, last, _ in rows
    ]
    parameters = asked.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"page"})
    return in_json(envelope(request, parameters, page, rows[0][-1] if rows else 0, results))


@router.get("/labels", response_model=LabelsOfMetric)
async def get_labels(request: Request, asked: Annotated[LabelsQuery, Query()]) -> Response:
    """The labels of a metric, their values, and in how many series each is; none of a metric that is not there."""
    engine = state_of(request).engine
    [(number,)] = await engine.ask(catalogue.series_count(asked.site, asked.metric))
    rows = await engine.ask(catalogue.label_values(asked.site, asked.metric, asked.limit))
    told, more = rows[: catalogue.MOST_VALUES], rows[catalogue.MOST_VALUES :]
    return in_json({"metric": asked.metric, "series": number, "results": _labels(told), "cut_off": bool(more)})


async def _query(request: Request, asked: SeriesQuery) -> Response:
    state = state_of(request)
    range_ = resolve(asked, now())
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    with state.metrics.query_seconds.labels(Endpoint.SAMPLES).time():
        with refusing_expired(asked, range_, TAKEN):
            found = await cut(state.tables, asked.question(range_), asked.interval, range_.zone)
            answer = await answered(state.tables, found, asked, page, range_.now)
        meta = await _meta(request, asked, range_, found, answer)
    return in_json(envelope(request, asked.address(), page, answer.count, answer.results, meta=meta))


async def _meta(request: Request, asked: SeriesQuery, range_: Range, found: Cut, answer: Answer) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "start": rfc3339(range_.start) if range_.start else None,
        "end": rfc3339(range_.end) if range_.end else None,
        "timezone": range_.zone.key,
        "interval": found.interval,
        "table": table_of(found.interval),
        "as_of": rfc3339(range_.now.replace(microsecond=0)),
    }
    if asked.explain and answer.asked is not None:
        meta["plan"] = await explained(state_of(request).engine, answer.asked)
        del meta["plan"]["counting"]  # is of distinct blogs
    return meta


def _instant(seconds: int) -> str:
    return rfc3339(from_epoch_ms(seconds * 1000))


def _labels(rows: list[Row]) -> list[dict[str, Any]]:
    """Of `(label, value, series, samples, values)`, together by label."""
    found: dict[str, dict[str, Any]] = {}
    for label, value, number, samples, count in rows:
        row = found.setdefault(label, {"label": label, "count": count, "values": [], "cut_off": False})
        row["values"].append({"value": value, "series": number, "samples": samples})
        row["cut_off"] = len(row["values"]) < count
    return list(found.values())
