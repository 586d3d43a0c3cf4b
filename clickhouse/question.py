"""What is asked of views and of samples, free of HTTP and of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from clickhouse.conditions import Condition, Every, columns
from clickhouse.rollups import OF_SAMPLES, VIEWS, measure
from clickhouse.shapes import Dataset, Measure

ANY_ROW: Condition = Every(())


class Group(StrEnum):
    COUNTRY = "country"
    AUTHOR = "user"  # the analytics API calls an author `user`, as its users do
    BLOG = "blog"

    @property
    def column(self) -> str:
        return {"country": "country", "user": "author_id", "blog": "blog_id"}[self.value]


class Distinct(StrEnum):
    APPROX = "approx"
    EXACT = "exact"


class Asked(Protocol):
    """What a plan has to know of a question."""

    @property
    def dataset(self) -> Dataset: ...
    @property
    def site(self) -> str: ...
    @property
    def start(self) -> datetime | None: ...
    @property
    def end(self) -> datetime | None: ...
    @property
    def edges(self) -> tuple[datetime, ...]: ...
    @property
    def condition(self) -> Condition: ...
    @property
    def exact(self) -> bool:
        """Whether states that only come near do not serve."""
        ...

    @property
    def columns(self) -> frozenset[str]:
        """That a dimension set must have."""
        ...

    @property
    def measures(self) -> tuple[Measure, ...]:
        """That it must carry, or have the keys of."""
        ...


@dataclass(frozen=True)
class Question:
    """Views and distinct blogs of one site in `[start, end)`, per group, per period, or both.

    `start` and `end` are aware UTC to the millisecond; None leaves that side open. `edges` are the starts of
    the asked periods, ascending, the first one clipped to `start`; empty when no interval is asked.
    """

    site: str
    start: datetime | None = None
    end: datetime | None = None
    group: Group | None = None
    edges: tuple[datetime, ...] = ()
    condition: Condition = ANY_ROW
    distinct: Distinct = Distinct.APPROX

    @property
    def dataset(self) -> Dataset:
        return VIEWS

    @property
    def exact(self) -> bool:
        return self.distinct is Distinct.EXACT

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(columns(self.condition) | ({self.group.column} if self.group else set()))

    @property
    def measures(self) -> tuple[Measure, ...]:
        return _VIEWS_AND_BLOGS


_VIEWS_AND_BLOGS = measure("views"), measure("blogs")


@dataclass(frozen=True)
class SeriesQuestion:
    """Numbers of one metric's samples in `[start, end)`, per group of label values, per period, or both.

    `start`, `end` and `edges` as in Question. `labels`: of each label the values one of which a series must have; an
    empty one stands for series without the label. `group_by` are label names.
    """

    site: str
    metric: str
    measures: tuple[Measure, ...]
    """What is asked of each group and period; `sample_measure` has them."""
    start: datetime | None = None
    end: datetime | None = None
    edges: tuple[datetime, ...] = ()
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    group_by: tuple[str, ...] = ()

    @property
    def dataset(self) -> Dataset:
        return OF_SAMPLES

    @property
    def condition(self) -> Condition:
        return ANY_ROW

    @property
    def exact(self) -> bool:
        return False

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({"metric", "labels"} if self.labels or self.group_by else {"metric"})
