"""How the answers look, for the OpenAPI document, and example bodies to ask with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from service.analytics.rows import SegmentOfPlan


class SeriesPlan(BaseModel):
    """`grain` and `table` are those of the longest part of the range that is read."""

    grain: str
    table: str
    dimension_set: str | None
    segments: list[SegmentOfPlan]
    estimated_rows: int
    read_rows: int


class SeriesMeta(BaseModel):
    """`interval`: of the rows, also where `auto` was asked; `table`: the one that holds rows of that interval."""

    start: str | None
    end: str | None
    timezone: str
    interval: Literal["raw", "minute", "hour", "day", "week", "month", "year"]
    table: str
    as_of: str
    plan: SeriesPlan | None = None


class BucketRow(BaseModel):
    """The aggregates asked for, of one bucket and group; buckets without samples have no row. `start` and `period` are
    those of the whole bucket, also where the range begins inside it; `labels` has a value for each of `group_by`. Null
    is a number too large for a float. `partial` only where the bucket is not over yet."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "start": "2025-01-01T00:00:00Z",
                "period": "2025-01-01",
                "labels": {"user": "1"},
                "avg": 72.5,
                "min": 51.0,
                "max": 140.0,
                "count": 86400,
            }
        }
    )

    start: str
    period: str
    labels: dict[str, str]
    avg: float | None = None
    min: float | None = None
    max: float | None = None
    count: int | None = None
    sum: float | None = None
    last: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    partial: bool | None = None


class SampleRow(BaseModel):
    """A sample, with all its labels."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"at": "2025-01-01T00:00:01Z", "value": 61.5, "labels": {"user": "1", "device": "watch"}}
        }
    )

    at: str
    value: float
    labels: dict[str, str]


class SeriesPage(BaseModel):
    """Ascending by time, then by labels."""

    count: int
    next: str | None
    previous: str | None
    results: list[BucketRow] | list[SampleRow]
    meta: SeriesMeta


class MetricRow(BaseModel):
    """`first` and `last`: the minutes of the first and the last sample."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "metric": "heart_rate",
                "samples": 5184000,
                "first": "2025-01-01T00:00:00Z",
                "last": "2025-01-03T23:59:00Z",
            }
        }
    )

    metric: str
    samples: int
    first: str
    last: str


class MetricPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[MetricRow]


class LabelValue(BaseModel):
    """In how many series, and samples of them."""

    value: str
    series: int
    samples: int


class LabelRow(BaseModel):
    """One label: how many values it has, and those of the most series; `cut_off`: there are more."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "label": "user",
                "count": 2,
                "values": [{"value": "1", "series": 2, "samples": 518400}, {"value": "2", "series": 1, "samples": 60}],
                "cut_off": False,
            }
        }
    )

    label: str
    count: int
    values: list[LabelValue]
    cut_off: bool


class LabelsOfMetric(BaseModel):
    """`series`: how many sets of labels the metric has; the labels by name. `cut_off`: there are more labels than an
    answer has room for."""

    metric: str
    series: int
    results: list[LabelRow]
    cut_off: bool


def _body(summary: str, **value: Any) -> dict[str, Any]:
    return {summary: {"summary": summary, "value": value}}


QUERY_BODY = {
    **_body(
        summary="daily heart rates of two users",
        metric="heart_rate",
        start="2025-01-01",
        end="2025-01-31",
        timezone="Asia/Kathmandu",
        interval="day",
        labels={"user": ["1", "2"]},
        group_by=["user"],
    ),
    **_body("hourly quantiles", metric="reading_seconds", range="week", aggregates=["p50", "p95", "count"]),
    **_body("single samples", metric="heart_rate", range="day", interval="raw", labels={"device": "watch"}),
}
