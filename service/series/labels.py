"""Which series are asked for, as clients write it: `{"user": ["1", "2"]}` as JSON, or `user=1,device="a, b"`."""

from __future__ import annotations

import json
from typing import Any

from service.ingest.rejections import Wrong
from service.samples.labels import WrongLabels, parse_labels
from service.samples.series import MAX_LABEL_VALUE, MAX_LABELS, checked_labels

Wanted = dict[str, tuple[str, ...]]
"""Of each label the values one of which a series must have; an empty one stands for series without the label."""

# Of one label; a server refuses bound values over 128 kB.
MAX_VALUES = 1_000
MAX_BYTES = 50_000


def parse_wanted(given: Any) -> Wanted:
    """`given` is an object, or text of one of the two forms. Raises ValueError with what would be right."""
    found = _read(given) if isinstance(given, str) else given
    if not isinstance(found, dict):
        raise ValueError('must be an object like {"user": ["1", "2"]}, or text like user=1,device=watch')
    if len(found) > MAX_LABELS:
        raise ValueError(f"must be at most {MAX_LABELS}")
    return {checked_label(name): _values(name, value) for name, value in found.items()}


def checked_label(name: str, value: str = "") -> str:
    """The name, if a series may have such a label. Raises ValueError."""
    try:
        checked_labels({name: value})
    except Wrong as wrong:
        # ASCII and short: what was sent may hold anything, half surrogate pairs too.
        raise ValueError(f"{json.dumps(name[:60])}: {wrong.reason}") from None
    return name


def _read(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            # Of whole numbers the text is wanted; Python refuses to read thousands of digits.
            return json.loads(text, object_pairs_hook=_unique, parse_int=str)
        except RecursionError:
            raise ValueError("is not JSON") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error}") from None
    try:
        labels = parse_labels(text)
    except WrongLabels as wrong:
        raise ValueError(str(wrong)) from None
    for name, _ in labels.changed:
        checked_label(name)
    return labels.values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names a label twice")
    return found


def _values(name: str, given: Any) -> tuple[str, ...]:
    values = given if isinstance(given, list) else [given]
    if not values:
        raise ValueError(f"{name}: must be a value, or a list of at least one")
    if len(values) > MAX_VALUES:
        raise ValueError(f"{name}: may have {MAX_VALUES} values")
    found = tuple(dict.fromkeys(_value(name, value) for value in values))
    if sum(len(value.encode()) + 4 for value in found) > MAX_BYTES:
        raise ValueError(f"{name}: the values may have {MAX_BYTES} bytes in all")
    return found


def _value(name: str, value: Any) -> str:
    # bool is an int to Python; an int of thousands of digits cannot be written as text.
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= MAX_LABEL_VALUE:
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a string, an integer, or a list of them")
    checked_label(name, value)
    return value
