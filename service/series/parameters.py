"""What can be asked of samples; query string and JSON body take the same names."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from clickhouse.question import SeriesQuestion
from clickhouse.rollups import sample_measure
from service.analytics.parameters import Ranged
from service.analytics.ranges import Range
from service.ingest.rejections import Wrong
from service.parameters import Page, PageSize, Site
from service.samples.series import LABEL, METRIC, checked_metric
from service.series.labels import Wanted, checked_label, parse_wanted

# Of a query string; a list in a body is an item each.
LISTS = frozenset({"group_by", "aggregates"})

MAX_GROUP_BY = 20


class Aggregate(StrEnum):
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    SUM = "sum"
    LAST = "last"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"

    @property
    def measures(self) -> tuple[str, ...]:
        """What it is made of."""
        match self:
            case Aggregate.AVG:
                return "sum", "count"
            case Aggregate.P50 | Aggregate.P95 | Aggregate.P99:
                return "quantiles", "min", "max"  # which a sketch goes beyond
            case _:
                return (self.value,)


def _metric(name: str) -> str:
    try:
        return checked_metric(name)
    except Wrong as wrong:
        raise ValueError(wrong.reason) from None


def _listed(value: Any) -> Any:
    """`["user,device", "os"]`, as repeated and comma-separated query parameters arrive, → `["user", "device", "os"]`;
    a name that repeats is one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return value
    found = list(dict.fromkeys(part.strip() for item in items for part in item.split(",") if part.strip()))
    if not found:
        raise ValueError("give at least one, or leave the parameter out")
    return found


def _as_json_text(wanted: Wanted) -> str:
    """How labels stand in an address."""
    return json.dumps(wanted)


Metric = Annotated[
    str,
    AfterValidator(_metric),
    Field(description="name of the metric", examples=["heart_rate"], json_schema_extra={"pattern": f"^{METRIC}$"}),
]
LabelName = Annotated[str, AfterValidator(checked_label), Field(json_schema_extra={"pattern": f"^{LABEL}$"})]
Labels = Annotated[
    Any,
    AfterValidator(parse_wanted),
    PlainSerializer(_as_json_text, when_used="json-unless-none"),
    Field(
        description="only series with these labels: an object, in an address as JSON text, of a value or a list of"
        ' values for each label; or text like `user=1,device="a, b"`. An empty value stands for series without the'
        " label.",
        examples=['{"user": ["1", "2"], "device": "watch"}', "user=1,device=watch"],
    ),
]
LabelNames = Annotated[list[LabelName], Field(max_length=MAX_GROUP_BY), BeforeValidator(_listed)]
Aggregates = Annotated[list[Aggregate], BeforeValidator(_listed)]

IntervalName = Literal["auto", "raw", "minute", "hour", "day", "week", "month", "year"]

_DEFAULT_AGGREGATES = [Aggregate.AVG, Aggregate.MIN, Aggregate.MAX, Aggregate.COUNT]


class SeriesQuery(Ranged):
    """One row a bucket and group, or the samples themselves."""

    metric: Metric
    interval: IntervalName = Field(
        "auto",
        description="the buckets, by the calendar of `timezone`; `raw`: the samples themselves, with all their labels,"
        " whatever `group_by` and `aggregates` say. `auto`: by the width of the range, up to 1 day raw, 7 days hour, 30"
        " days day, 90 days week, else month; a day of `timezone` is one day also where it has 25 hours, and an open"
        " side ends where the samples do",
    )
    labels: Labels = None
    group_by: LabelNames | None = Field(
        None,
        description="labels whose values are told apart, repeated or comma-separated; default: one group. Series"
        " without the label are the group of the empty value",
    )
    aggregates: Aggregates = Field(
        _DEFAULT_AGGREGATES,
        description="repeated or comma-separated. `avg` is the sum by the count of all samples of the bucket; `last` of"
        " several series with a sample at the last instant is one of those; `p50`, `p95` and `p99` are"
        " exact where the samples themselves are read, as for minutes; else they come from a t-digest of Float32:"
        " about 1 % off in rank and 1e-7 in value, never outside `min` and `max`",
    )

    def question(self, range_: Range) -> SeriesQuestion:
        names = dict.fromkeys(name for one in self.aggregates for name in one.measures)
        wanted: Wanted = self.labels or {}
        return SeriesQuestion(
            site=self.site,
            metric=self.metric,
            measures=tuple(map(sample_measure, names)),
            start=range_.start,
            end=range_.end,
            labels=tuple(wanted.items()),
            group_by=tuple(self.group_by or ()),
        )


class MetricsQuery(BaseModel):
    """A site's metrics."""

    model_config = ConfigDict(extra="forbid")

    site: Site = "default"
    page: Page = 1
    page_size: PageSize | None = None


class LabelsQuery(BaseModel):
    """A metric's labels."""

    model_config = ConfigDict(extra="forbid")

    site: Site = "default"
    metric: Metric
    limit: int = Field(100, ge=1, le=1000, description="values told of each label, those of the most series first")
