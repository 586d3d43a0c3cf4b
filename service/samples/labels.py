"""Labels as people write them: `k=v,k2="a, b=c"`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# A value in quotes, with \" \\ \n in it, or one that ends at the next comma.
_PAIR = re.compile(r'\s*(?P<name>[^=,"]*)=(?:\s*"(?P<quoted>(?:[^"\\]|\\.)*)"\s*|(?P<plain>[^,"]*))(?:,|$)')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n"}


class WrongLabels(ValueError):
    """One line that says which label is wrong, and what would be right."""


@dataclass(frozen=True)
class Labels:
    """`changed` holds (given, kept) for each name that had to be made one of Prometheus."""

    values: dict[str, str]
    changed: list[tuple[str, str]]


def parse_labels(text: str) -> Labels:
    """Names become what Prometheus takes: other characters than letters, digits and _ become _, and a leading digit
    gets one before it. Raises WrongLabels."""
    values: dict[str, str] = {}
    changed: list[tuple[str, str]] = []
    came_from: dict[str, str] = {}
    for given, value in _pairs(text):
        name = sanitised(given)
        if not name:
            raise WrongLabels(f"{given!r}={value!r}: a label needs a name")
        if name == "__name__":
            raise WrongLabels("__name__ is the metric's name, not a label")
        if name in values:
            raise WrongLabels(f"{came_from[name]!r} and {given!r} would both be the label {name}")
        if name != given:
            changed.append((given, name))
        values[name], came_from[name] = value, given
    return Labels(values, changed)


def sanitised(name: str) -> str:
    kept = re.sub(r"[^a-zA-Z0-9_]", "_", name.strip())
    return f"_{kept}" if kept[:1].isdigit() else kept


def is_metric_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _pairs(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            raise WrongLabels(
                f"{text[at:]!r} is no label: write name=value, and a value that holds commas or quotes in quotes"
            )
        found.append((match["name"].strip(), _value(match)))
        at = match.end()
    return found


def _value(match: re.Match[str]) -> str:
    if match["quoted"] is None:
        return match["plain"].strip()
    return _ESCAPED.sub(lambda escaped: _MEANT.get(escaped[1], escaped[1]), match["quoted"])
