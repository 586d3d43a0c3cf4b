"""Pages and the envelope around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from fastapi import Request, Response

from service.problems import NoSuchPage
from service.settings import Settings

# Far past any last row, and still a number ClickHouse can take.
_FURTHEST = 2**40


@dataclass(frozen=True)
class PageOf:
    number: int
    size: int

    @classmethod
    def asked(cls, number: int, size: int | None, settings: Settings) -> PageOf:
        return cls(number, min(size or settings.api_page_size, settings.api_max_page_size))

    @property
    def offset(self) -> int:
        return min((self.number - 1) * self.size, _FURTHEST)


def envelope(
    request: Request,
    parameters: Mapping[str, Any],
    page: PageOf,
    count: int,
    results: list[dict[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """`{count, next, previous, results, …}`; `parameters` are those of the request, without its page.

    `next` and `previous` are GET addresses also when the question came by POST: the names are the same.

    Raises:
        NoSuchPage: the page lies past the last row.
    """
    if page.number > 1 and page.offset >= count:
        raise NoSuchPage(f"there is no page {page.number} of {page.size} rows each")
    following = page.number + 1 if page.offset + page.size < count else None
    preceding = page.number - 1 or None
    return {
        "count": count,
        "next": _address(request, parameters, following),
        "previous": _address(request, parameters, preceding),
        "results": results,
        **more,
    }


def in_json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _address(request: Request, parameters: Mapping[str, Any], page: int | None) -> str | None:
    if page is None:
        return None
    pairs = {**parameters, "page": page} if page > 1 else parameters
    return str(request.url.replace(query=urlencode(pairs, doseq=True)))
