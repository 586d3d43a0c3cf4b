"""What an export is asked for with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from clickhouse.question import SeriesQuestion
from service.analytics.parameters import Moment, Ranged
from service.analytics.ranges import Range, resolve
from service.parameters import Site, Text
from service.problems import Invalid
from service.series.parameters import Labels, Metric


class Format(StrEnum):
    OPENMETRICS = "openmetrics"
    CSV = "csv"
    PARQUET = "parquet"
    NDJSON = "ndjson"


class ExportQuery(BaseModel):
    """Which rows of raw, and as what."""

    model_config = ConfigDict(extra="forbid")

    dataset: Literal["samples", "views"] = "samples"
    metric: Metric | None = Field(None, description="of samples: required")
    labels: Labels = None
    site: Site = "default"
    start: Moment | None = None
    end: Moment | None = Field(None, description="a date is included to its last moment, a timestamp is excluded")
    timezone: Text = Field("UTC", description="IANA name of the zone that days are of")
    format: Format | None = Field(None, description="default: openmetrics of samples, ndjson of views")

    def resolve(self, now: datetime) -> tuple[Format, Range]:
        """Raises Invalid for what does not go together."""
        samples = self.dataset == "samples"
        if samples and self.metric is None:
            raise Invalid.field("metric", "is required: samples are exported a metric at a time")
        for name, given in (("metric", self.metric), ("labels", self.labels)):
            if given is not None and not samples:
                raise Invalid.field(name, "is of samples; views have none")
        if self.format is Format.OPENMETRICS and not samples:
            raise Invalid.field("format", "of views must be csv, parquet or ndjson")
        asked = Ranged(**self.model_dump(include={"site", "start", "end", "timezone"}))
        return self.format or (Format.OPENMETRICS if samples else Format.NDJSON), resolve(asked, now)

    def question(self, range_: Range) -> SeriesQuestion:
        labels = tuple((self.labels or {}).items())
        return SeriesQuestion(self.site, self.metric or "", (), range_.start, range_.end, labels=labels)
