"""What a filter tree asks of one view: plain Python over the JSON, as far from the product as tests/oracle.py."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Protocol

from tests.oracle_calendar import first_instant, instant
from tests.oracle_facts import COUNTRIES, Author, Blog, Json

CONTINENTS = {"BR": "SA", "CI": "AF", "DE": "EU", "ET": "AF", "HK": "AS", "NP": "AS", "US": "NA", "XK": "EU"}
CONTINENT_NAMES = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}


class Seen(Protocol):
    """A view, or a blog as if viewed when it was created; `at` is epoch ms, `viewer_id` as sent, None where not."""

    @property
    def blog_id(self) -> str: ...
    @property
    def author_id(self) -> str: ...
    @property
    def country(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def viewer_id(self) -> str | None: ...


def passes(view: Seen, blogs: Mapping[str, Blog], authors: Mapping[str, Author], tree: Json, zone: str) -> bool:
    """`tree` is valid."""
    [(key, operand)] = tree.items()
    if key == "not":
        return not passes(view, blogs, authors, operand, zone)
    if key in {"and", "or"}:
        found = [passes(view, blogs, authors, node, zone) for node in operand]
        return all(found) if key == "and" else any(found)
    known = _known(view, blogs, authors, operand["field"])
    if key == "ne":
        return not _holds("eq", operand["field"], known, operand["value"], zone)
    return _holds(key, operand["field"], known, operand["value"], zone)


def _known(view: Seen, blogs: Mapping[str, Blog], authors: Mapping[str, Author], field: str) -> Any:
    """What is compared; None when it is unknown."""
    blog, author = blogs.get(view.blog_id, Blog()), authors.get(view.author_id, Author())
    known = {
        **dict.fromkeys(("country", "country.code"), view.country),
        "country.name": COUNTRIES[view.country],
        "country.continent": CONTINENT_NAMES[CONTINENTS[view.country]] if view.country else None,
        "blog.id": view.blog_id,
        "blog.title": blog.title or None,
        "blog.country": blog.country or None,
        "blog.created_at": blog.created_at if view.blog_id in blogs else None,
        **dict.fromkeys(("author.id", "user.id", "blog.author.id"), view.author_id or None),
        **dict.fromkeys(("author.username", "blog.author.username"), author.username or None),
        "viewed_at": view.at,
        "viewer_id": view.viewer_id,
    }
    return known[field]


def _holds(key: str, field: str, known: Any, value: Any, zone: str) -> bool:
    if known is None:
        return False
    if key == "in":
        return any(_holds("eq", field, known, one, zone) for one in value)
    if field in {"viewed_at", "blog.created_at"}:
        return _in_time(key, known, value, zone)
    text = _as_kept(key, field, str(value))
    # The unknown country is asked for by its empty code, and by nothing else.
    return _TEXTS[key](known, text) and (known != "" or key == "eq")


def _as_kept(key: str, field: str, value: str) -> str:
    if field in {"country", "country.code", "blog.country"}:
        return value.upper()
    if field == "country.continent" and key == "eq":
        names = {name.lower(): name for name in CONTINENT_NAMES.values()}
        return names.get(value.lower()) or CONTINENT_NAMES[value.upper()]
    return value


_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "eq": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    # Folding, not lower(): that one writes the last Σ of a word otherwise, and leaves ß apart from SS.
    # Letters younger than this Python's Unicode (3.11: 14.0) fold in ClickHouse alone: don't draw those.
    "contains": lambda known, part: part.casefold() in known.casefold(),
}


def _in_time(key: str, at: int, text: str, zone: str) -> bool:
    """A date is a whole day: at or after its first instant, and before that of the next."""
    is_date = "T" not in text
    day = date.fromisoformat(text[:10])
    first = first_instant(day, zone) if is_date else instant(text)
    beyond = first_instant(day + timedelta(days=1), zone) if is_date else first + 1
    return {
        "eq": first <= at < beyond,
        "lt": at < first,
        "lte": at < beyond,
        "gt": at >= beyond,
        "gte": at >= first,
    }[key]
