"""/api/analytics/…: each endpoint by GET and by POST, with the same names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from clickhouse.instants import rfc3339
from clickhouse.periods import Interval
from clickhouse.plan import Counting
from clickhouse.question import Group, Question
from service.analytics import answers
from service.analytics.answers import Answer
from service.analytics.cache import NOT_MODIFIED
from service.analytics.expiry import refusing_expired
from service.analytics.parameters import BlogViews, Parameters, Performance, Top
from service.analytics.plans import explained
from service.analytics.ranges import Range, resolve
from service.analytics.rows import BLOG_VIEWS_BODY, PERFORMANCE_BODY, TOP_BODY, GroupPage, PeriodPage
from service.clock import now
from service.paging import PageOf, envelope
from service.problems import Invalid
from service.requests import json_only, no_repeats
from service.state import State, state_of
from workers.metrics import Endpoint

P = TypeVar("P", bound=Parameters)
E = TypeVar("E", bound=StrEnum)

router = APIRouter(prefix="/api/analytics", tags=["analytics"], dependencies=[Depends(no_repeats), Depends(json_only)])


def _in_path(name: str) -> dict[str, Any]:
    """The parameter that stands in the path, for the OpenAPI document; `_with_path` reads it."""
    schema = {"type": "string", "enum": [*Group]}
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema}]}


@router.get(
    "/blog-views/{group_by}", response_model=GroupPage, responses=NOT_MODIFIED, openapi_extra=_in_path("group_by")
)
@router.get("/blog-views", response_model=GroupPage, responses=NOT_MODIFIED)
async def get_blog_views(request: Request, asked: Annotated[BlogViews, Query()]) -> Response:
    """Views and distinct blogs per country, author or blog; per period as well with `interval`."""
    return await _blog_views(request, asked)


@router.post("/blog-views/{group_by}", response_model=GroupPage, openapi_extra=_in_path("group_by"))
@router.post("/blog-views", response_model=GroupPage)
async def post_blog_views(
    request: Request, asked: Annotated[BlogViews, Body(openapi_examples=BLOG_VIEWS_BODY)]
) -> Response:
    """Views and distinct blogs per country, author or blog, asked by JSON."""
    return await _blog_views(request, asked)


@router.get("/top/{top}", response_model=GroupPage, responses=NOT_MODIFIED, openapi_extra=_in_path("top"))
@router.get("/top", response_model=GroupPage, responses=NOT_MODIFIED)
async def get_top(request: Request, asked: Annotated[Top, Query()]) -> Response:
    """The blogs, authors or countries with the most views."""
    return await _top(request, asked)


@router.post("/top/{top}", response_model=GroupPage, openapi_extra=_in_path("top"))
@router.post("/top", response_model=GroupPage)
async def post_top(request: Request, asked: Annotated[Top, Body(openapi_examples=TOP_BODY)]) -> Response:
    """The blogs, authors or countries with the most views, asked by JSON."""
    return await _top(request, asked)


@router.get("/performance", response_model=PeriodPage, responses=NOT_MODIFIED)
async def get_performance(request: Request, asked: Annotated[Performance, Query()]) -> Response:
    """Views per hour, day, week, month or year, with growth; periods without views included."""
    return await _performance(request, asked)


@router.post("/performance", response_model=PeriodPage)
async def post_performance(
    request: Request, asked: Annotated[Performance, Body(openapi_examples=PERFORMANCE_BODY)]
) -> Response:
    """Views per hour, day, week, month or year, with growth, asked by JSON."""
    return await _performance(request, asked)


async def _blog_views(request: Request, asked: BlogViews) -> Response:
    asked = _with_path(request, asked, "group_by", Group)
    state, range_, question, page = _question(request, asked, asked.group())
    if asked.interval is None:
        answer = partial(answers.by_group, state.tables, question, page)
    else:
        interval = Interval(asked.interval)
        answer = partial(answers.by_group_and_period, state.tables, question, interval, range_.zone, page)
    return await _respond(request, Endpoint.BLOG_VIEWS, asked, range_, question, page, answer)


async def _top(request: Request, asked: Top) -> Response:
    asked = _with_path(request, asked, "top", Group)
    state, range_, question, page = _question(request, asked, asked.top)
    answer = partial(answers.by_group, state.tables, question, page, asked.limit)
    return await _respond(request, Endpoint.TOP, asked, range_, question, page, answer)


async def _performance(request: Request, asked: Performance) -> Response:
    state, range_, question, page = _question(request, asked, None)
    created = (asked.x_metric or state.settings.performance_x_metric) == "created"
    fair = asked.compare_to == "same_elapsed"
    interval = Interval(asked.compare)
    answer = partial(answers.by_period, state.tables, question, interval, range_, page, created=created, fair=fair)
    return await _respond(request, Endpoint.PERFORMANCE, asked, range_, question, page, answer)


def _question(request: Request, asked: Parameters, group: Group | None) -> tuple[State, Range, Question, PageOf]:
    state = state_of(request)
    range_ = resolve(asked, now())
    question = range_.question(asked, group, state.settings.distinct)
    return state, range_, question, PageOf.asked(asked.page, asked.page_size, state.settings)


def _with_path(request: Request, asked: P, name: str, kind: type[E]) -> P:
    """The parameters with the one that stands in the path, which must not be given twice with different values."""
    text = request.path_params.get(name)
    if text is None:
        return asked
    if text not in list(kind):
        raise Invalid.field(name, f"must be one of {', '.join(kind)}")
    if name in asked.model_fields_set and getattr(asked, name) != text:
        raise Invalid.field(name, "contradicts the path")
    return asked.model_copy(update={name: kind(text)})


async def _respond(
    request: Request,
    endpoint: Endpoint,
    asked: Parameters,
    range_: Range,
    question: Question,
    page: PageOf,
    answer: Callable[[], Awaitable[Answer]],
) -> Response:
    async def compute() -> dict[str, Any]:
        with refusing_expired(asked, range_):
            found = await answer()
        return await _envelope(request, asked, range_, question, page, found)

    state = state_of(request)
    with state.metrics.query_seconds.labels(endpoint).time():
        return await state.cache.respond(request, asked, range_, compute)


async def _envelope(
    request: Request, asked: Parameters, range_: Range, question: Question, page: PageOf, answer: Answer
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "start": rfc3339(range_.start) if range_.start else None,
        "end": rfc3339(range_.end) if range_.end else None,
        "timezone": range_.zone.key,
        "distinct": _distinct(question, answer),
        "as_of": rfc3339(range_.now.replace(microsecond=0)),
    }
    if asked.explain and answer.asked is not None:
        meta["plan"] = await explained(state_of(request).engine, answer.asked)
    return envelope(request, asked.address(), page, answer.count, answer.results, meta=meta)


def _distinct(question: Question, answer: Answer) -> dict[str, Any]:
    """Both ways are exact: bitmaps of numbers, each blog having its own, or the blogs themselves."""
    counting = answer.asked.plan.counting if answer.asked else Counting.KEYS
    return {"method": question.distinct, "from": counting.value, "standard_error": 0.0}
