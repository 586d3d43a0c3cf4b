"""What the service is told, as plain Python keeps it for the oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# The English names CLDR gives the codes the tests use.
COUNTRIES = {
    "": "Unknown",
    "BR": "Brazil",
    "CI": "Côte d\u2019Ivoire",
    "DE": "Germany",
    "ET": "Ethiopia",
    "HK": "Hong Kong SAR China",
    "NP": "Nepal",
    "US": "United States",
    "XK": "Kosovo",
}


@dataclass(frozen=True)
class View:
    """One counted event; `at` is epoch milliseconds, `viewer_id` as text, None where none was sent."""

    blog_id: str
    author_id: str
    country: str
    at: int
    viewer_id: str | None = None


@dataclass(frozen=True)
class Blog:
    title: str = ""
    author_id: str = ""
    country: str = ""
    created_at: int = 0


@dataclass(frozen=True)
class Author:
    username: str = ""
    name: str = ""
