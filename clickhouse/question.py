"""What is asked of the views, free of HTTP and of SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


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
class Filters:
    """Conditions that all hold. None means 'not asked'; an empty country is the unknown one."""

    countries: tuple[str, ...] | None = None
    excluded_countries: tuple[str, ...] = ()
    author_id: str | None = None
    author_username: str | None = None
    blog_id: str | None = None

    @property
    def columns(self) -> frozenset[str]:
        """The dimension columns these conditions look at."""
        asked = {
            "country": self.countries is not None or bool(self.excluded_countries),
            "author_id": self.author_id is not None or self.author_username is not None,
            "blog_id": self.blog_id is not None,
        }
        return frozenset(column for column, is_asked in asked.items() if is_asked)


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
    filters: Filters = field(default_factory=Filters)
    distinct: Distinct = Distinct.APPROX
