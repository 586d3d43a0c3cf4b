"""Country codes and their English names, from Unicode's CLDR (Babel)."""

from __future__ import annotations

from functools import cache
from itertools import product

from babel import Locale

UNKNOWN = "Unknown"

# CLDR's territories beside ISO 3166-1: exceptional reservations and groups no viewer is in. Kosovo (XK) stays:
# every GeoIP database and CDN reports it.
_NOT_COUNTRIES = frozenset({"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"})


@cache
def names() -> dict[str, str]:
    """ISO 3166-1 alpha-2 code → English name."""
    territories = Locale("en").territories
    return {
        code: name
        for code, name in territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NOT_COUNTRIES
    }


def label(code: str) -> str:
    """The English name; the code itself where CLDR has none; 'Unknown' for the empty one."""
    return names().get(code, code) if code else UNKNOWN


def normalise(code: str) -> str:
    """Upper case. Raises ValueError for what is no country; the empty code is the unknown country."""
    found = _spellings().get(code)
    if found is None:
        raise ValueError("must be an ISO 3166-1 alpha-2 code such as ET, or empty for unknown")
    return found


@cache
def _spellings() -> dict[str, str]:
    """Every way to write a code → the code. upper() alone would make SS of ß, and FI of the ligature in one letter."""
    ways = {a + b: code for code in names() for a, b in product(*((letter, letter.lower()) for letter in code))}
    return {"": "", **ways}
