"""What is wrong with an item of a request: told by its index, the field and the reason, and costs no other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from service.ingest.items import Item
from service.parameters import UNSOUND, is_sound

T = TypeVar("T", bound=msgspec.Struct)

NOT_JSON = "not JSON"
OUT_OF_RANGE = "Number out of range"  # msgspec's words for one that no float can be


class Rejection(msgspec.Struct):
    """`index` counts the request's items from 0; `field` is '' where the item as a whole is wrong."""

    index: int
    field: str
    reason: str


class Wrong(Exception):
    """A field, and what would be right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


def decode(decoder: msgspec.json.Decoder[T], index: int, item: Item) -> T | Rejection:
    try:
        return decoder.decode(item)
    except msgspec.ValidationError as error:
        # "Expected `str | null`, got `array` - at `$.site`"; a value in a mapping is at `$.labels[...]`
        text, _, path = str(error).partition(" - at `$")
        field, within, _ = path.strip("`").lstrip(".").partition("[")
        reason = _plain(text) if field else "must be a JSON object"
        return Rejection(index, field, f"each value {reason}" if within else reason)
    except RecursionError:
        return Rejection(index, "", "is nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError):
        field, reason = _unsound(bytes(item), decoder.type.__struct_fields__)
        return Rejection(index, field, reason)


# Bytes of an item that are looked at again, in 0.5 ms.
_LARGEST = 2**16


def _unsound(item: bytes, fields: Sequence[str]) -> tuple[str, str]:
    """The field and the reason. Half a surrogate pair is JSON by its grammar, and msgspec takes none."""
    if len(item) > _LARGEST or b"\\ud" not in item.lower():
        return "", NOT_JSON
    try:
        found = json.loads(item, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "", NOT_JSON
    if not isinstance(found, dict):
        return "", "must be a JSON object"
    halves = (name for name in fields if _HALF.search(json.dumps(found.get(name), ensure_ascii=False)))
    return next(halves, ""), UNSOUND


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_HALF = re.compile("[\ud800-\udfff]")


def _plain(text: str) -> str:
    wanted = re.search(r"Expected `([^`]*)`", text)
    kinds = wanted[1].replace(" | null", "") if wanted else ""
    for kind, words in _KINDS:
        kinds = kinds.replace(kind, words)
    return f"must be {kinds.replace(' | ', ' or ')}" if kinds else text


_KINDS = (("str", "a string"), ("int", "an integer"), ("float", "a number"), ("object", "an object"))


def none_is_json(rejected: Sequence[Rejection]) -> bool:
    """Every item was rejected for that: it is the body that is no JSON."""
    return bool(rejected) and all(item.reason == NOT_JSON for item in rejected)


def text(field: str, value: str | int, longest: int) -> str:
    """Raises Wrong."""
    found = value if isinstance(value, str) else str(value)
    if not 0 < len(found) <= longest:
        raise Wrong(field, f"must have 1 to {longest} characters")
    if not is_sound(found):
        raise Wrong(field, UNSOUND)
    return found
