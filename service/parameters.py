"""Field types that several requests share: text that ClickHouse can be asked about, ids, country lists, pages."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from service import countries

MAX_ID = 128
MAX_SITE = 253  # a domain name
DEFAULT_SITE = "default"
UNSOUND = "must not hold control characters or half surrogate pairs"

_UNSOUND = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def is_sound(text: str) -> bool:
    """Control characters and lone surrogates are in no id we accept, and some of them break protocols."""
    return text.isprintable() or _UNSOUND.search(text) is None


def _sound(text: str) -> str:
    if not is_sound(text):
        raise ValueError(UNSOUND)
    return text


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    """`["US,ET", "DE,"]`, as repeated and comma-separated query parameters arrive, → `["US", "ET", "DE"]`.

    `""` as an item, or nothing but commas, is the unknown country.
    """
    if value in ([], ""):
        raise ValueError(NO_COUNTRIES)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return value
    return [part for item in value for part in [part for part in item.split(",") if part] or [""]]


NO_COUNTRIES = "give at least one country code, or leave the parameter out"


def _countries(codes: list[str]) -> list[str]:
    return [countries.normalise(code) for code in codes]


def _as_parameters(codes: list[str]) -> list[str]:
    """How the list stands in an address, where a parameter without a value is refused."""
    return [code or "," for code in codes]


Text = Annotated[str, AfterValidator(_sound)]
Title = Annotated[str, Field(max_length=1_000), AfterValidator(_sound)]
Site = Annotated[str, Field(min_length=1, max_length=MAX_SITE), AfterValidator(_sound)]
Id = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=MAX_ID), AfterValidator(_sound)]
CountryCodes = Annotated[
    list[str],
    Field(max_length=500),
    BeforeValidator(_listed),
    AfterValidator(_countries),
    PlainSerializer(_as_parameters, when_used="json"),
]
Page = Annotated[int, Field(ge=1, description="from 1; a page past the end is 404")]
PageSize = Annotated[int, Field(ge=1, description="clamped to the server's maximum")]
