"""How the answers look, for the OpenAPI document, and example bodies to ask with."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Plan(BaseModel):
    table: str
    grain: str
    dimension_set: str | None


class Meta(BaseModel):
    start: str | None
    end: str | None
    timezone: str
    distinct: str
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
