"""Blogs and authors as they are sent, and how a sent one changes the kept one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag

from clickhouse.blogs import Author, Blog
from clickhouse.instants import epoch_ms
from service import countries
from service.parameters import Id, Page, PageSize, Site, Title

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2106, 1, 1, tzinfo=UTC)


def _storable(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("must lie between 1970 and 2105")
    return moment


Country = Annotated[str, AfterValidator(countries.normalise)]
Created = Annotated[AwareDatetime, AfterValidator(_storable)]


class BlogIn(BaseModel):
    """A field that is left out keeps its value; null empties it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "blog_id": "hello-world",
                "title": "Hello, world",
                "author_id": "ada",
                "country": "GB",
                "created_at": "2025-01-01T10:00:00Z",
            }
        },
    )

    blog_id: Id
    site: Site = "default"
    title: Title | None = None
    author_id: Id | None = None
    country: Country | None = None
    created_at: Created | None = Field(None, description="RFC 3339 with offset; default: the first time it is put")

    def over(self, kept: Blog | None, now: datetime) -> Blog:
        """The blog to keep, given what is kept already."""
        base = kept or Blog(self.site, self.blog_id, "", "", "", epoch_ms(now))
        given: dict[str, Any] = {
            "title": self.title or "",
            "author_id": self.author_id or "",
            "country": self.country or "",
            "created_at": epoch_ms(self.created_at) if self.created_at else base.created_at,
        }
        return base._replace(**{name: given[name] for name in given.keys() & self.model_fields_set})


class AuthorIn(BaseModel):
    """A field that is left out keeps its value; null empties it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"author_id": "ada", "username": "ada", "name": "Ada Lovelace"}},
    )

    author_id: Id
    site: Site = "default"
    username: Id | None = None
    name: Title | None = None

    def over(self, kept: Author | None) -> Author:
        """The author to keep, given what is kept already."""
        base = kept or Author(self.site, self.author_id, "", "")
        given = {"username": self.username or "", "name": self.name or ""}
        return base._replace(**{name: given[name] for name in given.keys() & self.model_fields_set})


T = TypeVar("T")


def _one_or_many(value: object) -> str:
    return "many" if isinstance(value, list | tuple) else "one"


# One object or a list of them; told apart by kind, so that faults are named by their field alone.
OneOrMany = Annotated[
    Annotated[T, Tag("one")] | Annotated[list[T], Field(min_length=1, max_length=10_000), Tag("many")],
    Discriminator(_one_or_many),
]


class Listing(BaseModel):
    """Which page of which site's registry."""

    model_config = ConfigDict(extra="forbid")

    site: Site = "default"
    page: Page = 1
    page_size: PageSize | None = None
