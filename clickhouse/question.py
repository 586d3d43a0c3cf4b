"""What is asked of the views, free of HTTP and of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from clickhouse.conditions import Condition, Every

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
