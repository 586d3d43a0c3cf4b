"""Field types that several requests share: text that ClickHouse can be asked about, ids, country lists, pages."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from service import countries


def _sound(text: str) -> str:
    """Lone surrogates and control characters are in no id we accept, and some of them break protocols."""
    if not text.isprintable() and any(character < " " or "\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not hold control characters or half surrogate pairs")
    return text


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    """`["US,ET", "DE"]`, as repeated and comma-separated query parameters arrive, → `["US", "ET", "DE"]`."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return value
    if value in ([], [""]):
        raise ValueError("give at least one country code, or leave the parameter out")
    return [part for item in value for part in item.split(",")]


def _countries(codes: list[str]) -> list[str]:
    return [countries.normalise(code) for code in codes]


Text = Annotated[str, AfterValidator(_sound)]
Title = Annotated[str, Field(max_length=1_000), AfterValidator(_sound)]
Site = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_sound)]
Id = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=128), AfterValidator(_sound)]
CountryCodes = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_countries), Field(max_length=500)]
Page = Annotated[int, Field(ge=1, description="from 1; a page past the end is 404")]
PageSize = Annotated[int, Field(ge=1, description="clamped to the server's maximum")]
