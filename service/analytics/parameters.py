"""What the three analytics endpoints can be asked; query string and JSON body take the same names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickhouse.periods import Interval
from clickhouse.question import Distinct, Filters, Group
from service.parameters import CountryCodes, Id, Page, PageSize, Site, Text
from service.problems import Invalid

Moment = Annotated[
    Text,
    Field(
        description="a date (the whole day in `timezone`) or an RFC 3339 timestamp with offset (exact)",
        examples=["2025-01-31", "2025-01-31T12:00:00Z"],
    ),
]


class Parameters(BaseModel):
    """Site, range, zone, filters and page: what all three endpoints take."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    site: Site = "default"
    start: Moment | None = None
    end: Moment | None = Field(None, description="a date is included to its last moment, a timestamp is excluded")
    range: Literal["day", "week", "month", "year"] | None = Field(
        None, description="the last 1, 7, 30 or 365 days up to now; instead of `start` and `end`"
    )
    year: Annotated[int, Field(ge=1971, le=2104)] | None = Field(None, description="one calendar year in `timezone`")
    timezone: Text = Field("UTC", description="IANA name, such as Africa/Addis_Ababa")
    filters: Any = Field(None, description="the filter tree; not available yet, use the flat filters")
    country_codes: CountryCodes | None = Field(None, description="ISO 3166-1 alpha-2, repeated or comma-separated")
    exclude_country_codes: CountryCodes | None = Field(None, description="views of unknown country stay in")
    user_id: Id | None = Field(None, description="id of the author")
    author_username: Id | None = None
    blog_id: Id | None = None
    distinct: Distinct | None = Field(None, description="how distinct blogs are counted; default: the server's setting")
    explain: bool = Field(False, description="adds `meta.plan`: the table that answered")
    page: Page = 1
    page_size: PageSize | None = None

    def flat_filters(self) -> Filters:
        """Raises Invalid for a filter tree, which is not available yet."""
        if self.filters is not None:
            raise Invalid.field(
                "filters",
                "the filter tree is not available yet; use country_codes, exclude_country_codes, user_id,"
                " author_username and blog_id",
            )
        return Filters(
            countries=None if self.country_codes is None else tuple(self.country_codes),
            excluded_countries=tuple(self.exclude_country_codes or ()),
            author_id=self.user_id,
            author_username=self.author_username,
            blog_id=self.blog_id,
        )

    def address(self) -> dict[str, Any]:
        """The parameters that were given, as query parameters without the page."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"page"})


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

    compare: Interval = Interval.MONTH
    x_metric: Literal["viewed", "created"] | None = Field(
        None,
        description="what the number in the label counts: blogs viewed or created; default: the server's setting",
    )
