"""What a backfill is asked for with, and what that means."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.origins import Source
from clickhouse.rollups import VIEWS, dataset_called
from clickhouse.shapes import Dataset
from clickhouse.spans import Span
from service.jobs.spans import asked_span
from service.problems import Invalid
from workers.backfill import FROM_ROLLUP, Backfill
from workers.granularity import Granularity, grains_of
from workers.jobs.job import Value


class BackfillIn(BaseModel):
    """Which rollups to make again. Ranges are widened to whole partitions, so that no bucket is half-replaced."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"granularity": "day", "start": "2025-01-15", "end": "2025-01-31"}},
    )

    dataset: Literal["views", "samples"] = "views"
    granularity: Granularity = Field(
        Granularity.ALL, description="`hour` of views covers the quarter and six hours around it; samples have minutes"
    )
    start: str | None = Field(
        None, description="a date is its whole day, UTC; a timestamp with offset is exact; default: the first event"
    )
    end: str | None = Field(None, description="a date is included, a timestamp is not; default: now")
    clear: bool = Field(
        False, description="make all of it from scratch; refused where events have expired, which else are kept"
    )
    dry_run: bool = Field(False, description="tell what would be done, and do nothing")
    source: Source = Field(
        Source.RAW, alias="from", description="`rollup`: week, month and year are made from days, and days from raw"
    )
    with_sources: bool = Field(
        False, description="first the grains that it is made from: of a day of samples its hours, of a year months too"
    )

    def resolve(self, now: datetime) -> Backfill:
        """Raises Invalid."""
        if self.source is Source.ROLLUP and self.granularity not in FROM_ROLLUP:
            raise Invalid.field("from", f"must be raw: a {self.granularity} is made from nothing else")
        dataset = dataset_called(self.dataset)
        if not grains_of(dataset, self.granularity):
            raise Invalid.field("granularity", f"{self.dataset} have no {self.granularity}s: use {_others(dataset)}")
        span = asked_span(self.start, self.end, now)
        return Backfill(self.granularity, dataset, span, self.clear, self.source, self.with_sources)

    def named(self, asked: Backfill) -> dict[str, Value]:
        """What tells this backfill from others; an end that is now is none."""
        found: dict[str, Value] = {"granularity": asked.granularity.value}
        if self.start is not None and asked.span:
            found["start"] = rfc3339(from_epoch_ms(asked.span.start))
        if self.end is not None and asked.span:
            found["end"] = rfc3339(from_epoch_ms(asked.span.end))
        if asked.dataset is not VIEWS:
            found["dataset"] = asked.dataset.name
        if asked.with_sources:
            found["with_sources"] = True
        return {**found, "clear": asked.clear, "from": asked.source.value}


def nothing_to_do(asked: Backfill, events: Span | None) -> Invalid:
    """There is neither an event nor a bucket."""
    if events is None:
        return Invalid(f"there is nothing to make again: no {_NOUNS[asked.dataset.name]} has been stored yet")
    held: Any = " to ".join(rfc3339(from_epoch_ms(instant)) for instant in (events.start, events.end - 1))
    field = "end" if asked.span and asked.span.end <= events.start else "start"
    return Invalid.field(field, f"there is no {_NOUNS[asked.dataset.name]} in this range; they are from {held}")


def _others(dataset: Dataset) -> str:
    *names, last = (one.value for one in Granularity if grains_of(dataset, one))
    return f"{', '.join(names)} or {last}"


_NOUNS = {"views": "event", "samples": "sample"}
