"""Checks on a request that come before its parameters are looked at."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import Request

from service.parameters import NO_COUNTRIES
from service.problems import Invalid, UnsupportedMedia

COUNTRIES = frozenset({"country_codes", "exclude_country_codes"})


async def no_repeats(request: Request) -> None:
    """A parameter stands once and in one place: only lists repeat, and a POST has its parameters in the body.

    A list whose only value is empty is refused here: behind this, `""` is the unknown country.
    """
    for name in COUNTRIES & refuse_repeats(request, COUNTRIES):
        if request.query_params.getlist(name) == [""]:
            raise Invalid.field(name, NO_COUNTRIES)


def refuse_repeats(request: Request, lists: Iterable[str]) -> set[str]:
    """Lets none of the address's parameters repeat but `lists`; returns their names."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if request.method not in {"GET", "DELETE"}:
            raise Invalid.field(name, f"belongs in the JSON body of a {request.method}, not in the address")
        if name in seen and name not in lists:
            raise Invalid.field(name, "is given twice")
        seen.add(name)
    return seen


async def json_only(request: Request) -> None:
    """FastAPI takes any body for text when its type is not JSON; the client should hear what is wrong with it."""
    if request.method in {"POST", "PUT", "PATCH"}:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedMedia("Content-Type must be application/json")
