"""How the answers look, for the OpenAPI document, and example bodies to ask with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class SegmentOfPlan(BaseModel):
    grain: str
    table: str
    dimension_set: str | None
    start: str | None
    end: str | None
    ranges: int
    estimated_rows: int


class Plan(BaseModel):
    """`grain` and `table` are those of the longest part of the range."""

    grain: str
    table: str
    dimension_set: str | None
    counting: Literal["states", "keys"]
    segments: list[SegmentOfPlan]
    estimated_rows: int
    read_rows: int


class DistinctBlogs(BaseModel):
    """How `y` was counted: from states or keys, and the standard error of that, as a fraction."""

    model_config = ConfigDict(populate_by_name=True)

    method: Literal["approx", "exact"]
    source: Literal["states", "keys"] = Field(alias="from")
    standard_error: float


class Meta(BaseModel):
    start: str | None
    end: str | None
    timezone: str
    distinct: DistinctBlogs
    as_of: str
    plan: Plan | None = None


class GroupRow(BaseModel):
    """`period` and `start` only with `interval`."""

    model_config = ConfigDict(json_schema_extra={"example": {"x": "Ethiopia", "id": "ET", "y": 1, "z": 8}})

    x: str
    id: str
    y: int
    z: int
    period: str | None = None
    start: str | None = None


class PeriodRow(BaseModel):
    """`partial` only where the period is not over yet."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "x": "January 2025 (5)",
                "period": "2025-01",
                "start": "2025-01-01T00:00:00Z",
                "blogs": 5,
                "y": 1200,
                "z": 15.5,
            }
        }
    )

    x: str
    period: str
    start: str
    blogs: int
    y: int
    z: float | None
    partial: bool | None = None


class GroupPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[GroupRow]
    meta: Meta


class PeriodPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[PeriodRow]
    meta: Meta


def _body(summary: str, **value: Any) -> dict[str, Any]:
    return {summary: {"summary": summary, "value": value}}


BLOG_VIEWS_BODY = {
    **_body("views per country in January", group_by="country", start="2025-01-01", end="2025-01-31"),
    **_body("views per author and month", group_by="user", interval="month", year=2025),
}
TOP_BODY = _body("the ten most read posts of the last week", top="blog", range="week", limit=10)
PERFORMANCE_BODY = {
    **_body("month by month", compare="month", year=2025),
    **_body(
        "day by day in Kathmandu",
        compare="day",
        start="2025-01-01",
        end="2025-01-31",
        timezone="Asia/Kathmandu",
    ),
}
