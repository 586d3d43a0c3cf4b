"""What the analytics endpoints can be asked; query string and JSON body take the same names."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from clickhouse.conditions import Condition, Every
from clickhouse.question import Distinct, Group
from service.analytics.fields import FIELDS
from service.analytics.filters import flat, parse
from service.events.parse import hash_viewer
from service.parameters import CountryCodes, Id, Page, PageSize, Site, Text
from service.problems import Invalid

Moment = Annotated[
    Text,
    Field(
        description="a date (the whole day in `timezone`) or an RFC 3339 timestamp with offset (exact)",
        examples=["2025-01-31", "2025-01-31T12:00:00Z"],
    ),
]


def _as_json_text(tree: Any) -> Any:
    """How a tree stands in an address."""
    return tree if tree is None or isinstance(tree, str) else json.dumps(tree)


FilterTree = Annotated[
    Any,
    PlainSerializer(_as_json_text, when_used="json"),
    Field(
        description="a tree of conditions, as JSON text or (in a body) JSON: a node has one key of `and`, `or` (lists"
        " of nodes), `not` (a node), `eq`, `ne`, `lt`, `lte`, `gt`, `gte`, `contains` (ignores case) and `in` (a list),"
        ' which compare as in `{"eq": {"field": "country", "value": "ET"}}`. Fields: '
        + ", ".join(f"`{name}`" for name in FIELDS)
        + ". Times take a date (a whole day in `timezone`) or a timestamp with offset. What is unknown equals nothing,"
        " so `ne` and `not` keep it.",
        examples=[
            '{"and": [{"eq": {"field": "country.continent", "value": "Africa"}},'
            ' {"not": {"contains": {"field": "blog.title", "value": "draft"}}}]}'
        ],
    ),
]


class Ranged(BaseModel):
    """Site, range, zone and page: what every question takes, that about samples too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    site: Site = "default"
    start: Moment | None = None
    end: Moment | None = Field(None, description="a date is included to its last moment, a timestamp is excluded")
    range: Literal["day", "week", "month", "year"] | None = Field(
        None, description="the last 1, 7, 30 or 365 days up to now; instead of `start` and `end`"
    )
    year: Annotated[int, Field(ge=1971, le=2104)] | None = Field(None, description="one calendar year in `timezone`")
    timezone: Text = Field("UTC", description="IANA name, such as Africa/Addis_Ababa")
    explain: bool = Field(False, description="adds `meta.plan`: segments, their tables, estimated and read rows")
    page: Page = 1
    page_size: PageSize | None = None

    def address(self) -> dict[str, Any]:
        """The parameters that were given, as query parameters without the page."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"page"})


class Parameters(Ranged):
    """And filters: what all three endpoints take."""

    filters: FilterTree = None
    country_codes: CountryCodes | None = Field(None, description="ISO 3166-1 alpha-2, repeated or comma-separated")
    exclude_country_codes: CountryCodes | None = Field(None, description="views of unknown country stay in")
    user_id: Id | None = Field(None, description="id of the author")
    author_username: Id | None = None
    blog_id: Id | None = None
    distinct: Distinct | None = Field(None, description="how distinct blogs are counted; default: the server's setting")

    def condition(self, zone: ZoneInfo) -> Condition:
        """What the flat filters and the tree ask together; ANY_ROW when nothing is asked. Raises Invalid."""
        if self.country_codes and {*self.country_codes} <= {*(self.exclude_country_codes or ())}:
            raise Invalid.field("exclude_country_codes", "leaves none of country_codes")
        asked = flat(self.country_codes, self.exclude_country_codes, self.user_id, self.author_username, self.blog_id)
        if self.filters is not None:
            asked.append(parse(self.filters, zone, partial(hash_viewer, self.site)))
        return Every(tuple(asked))


class BlogViews(Parameters):
    """One row a group."""

    group_by: Group | None = Field(None, description="default `country`; `user` is the author")
    object_type: Group | None = Field(None, description="alias of `group_by`")
    interval: Literal["day", "week", "month", "year"] | None = Field(
        None, description="one row per group and period instead"
    )

    def group(self) -> Group:
        """Raises Invalid when the two names contradict each other."""
        if self.group_by and self.object_type and self.group_by is not self.object_type:
            raise Invalid.field("object_type", "is another name for group_by and contradicts it")
        return self.group_by or self.object_type or Group.COUNTRY


class Top(Parameters):
    """The first rows of a group."""

    top: Group = Field(Group.BLOG, description="what is ranked; `user` is the author")
    limit: int = Field(10, ge=1, le=100)


class Performance(Parameters):
    """One row a period."""

    compare: Literal["hour", "day", "week", "month", "year"] = "month"
    compare_to: Literal["previous", "same_elapsed"] = Field(
        "previous",
        description="what the growth of a period that is not over is measured against: the whole period before, or the"
        " same elapsed part of it",
    )
    x_metric: Literal["viewed", "created"] | None = Field(
        None,
        description="what the number in the label counts: blogs viewed or created; default: the server's setting",
    )
