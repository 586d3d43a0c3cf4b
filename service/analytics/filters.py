"""From the filters as they are sent, flat or as a JSON tree, to a condition; every fault names its path in the tree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from clickhouse.conditions import Compare, Condition, Either, Every, Field, Not, Operator
from service.analytics.fields import FIELDS, Kind, ViewerHash
from service.parameters import UNSOUND, is_sound
from service.problems import Invalid

MAX_DEPTH = 10
MAX_NODES = 100
# Of all lists together: each is a comparison of its own where the field is a time, and a query may have 256 kB.
MAX_VALUES = 1_000
MAX_TEXT = 1_000  # as long as a title
MAX_BYTES = 50_000  # of all texts together; a server refuses bound values over 128 kB

_OPERATORS = ("and", "or", "not", "eq", "ne", "lt", "lte", "gt", "gte", "contains", "in")


def flat(
    countries: Sequence[str] | None,
    excluded_countries: Sequence[str] | None,
    author_id: str | None,
    author_username: str | None,
    blog_id: str | None,
) -> list[Condition]:
    """Conditions that all hold, one for each parameter that is given."""
    asked: list[Condition] = []
    if countries is not None:
        asked.append(Compare(Field.COUNTRY, Operator.IN, tuple(countries)))
    if excluded_countries is not None:
        asked.append(Not(Compare(Field.COUNTRY, Operator.IN, tuple(excluded_countries))))
    exact = {Field.AUTHOR: author_id, Field.AUTHOR_USERNAME: author_username, Field.BLOG: blog_id}
    asked += [Compare(field, Operator.EQ, (value,)) for field, value in exact.items() if value is not None]
    return asked


def parse(tree: Any, zone: ZoneInfo, viewer_hash: ViewerHash) -> Condition:
    """`tree` is decoded JSON, or JSON text; dates in it are days of `zone`. Raises Invalid."""
    return _Parser(zone, viewer_hash).node(_decoded(tree), "filters", depth=1)


def _decoded(tree: Any) -> Any:
    if not isinstance(tree, str):
        return tree
    try:
        return json.loads(tree, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Invalid.field("filters", "is not JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Invalid.field("filters", "has a key twice in one object")
    return found


class _Parser:
    """One tree; counts what the limits are about."""

    def __init__(self, zone: ZoneInfo, viewer_hash: ViewerHash) -> None:
        self._zone = zone
        self._viewer_hash = viewer_hash
        self._nodes = 0
        self._values = 0
        self._bytes = 0

    def node(self, node: Any, path: str, depth: int) -> Condition:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise Invalid.field(path, f"is deeper than {MAX_DEPTH} nodes")
        if self._nodes > MAX_NODES:
            raise Invalid.field(path, f"is one node more than the {MAX_NODES} a tree may have")
        key, operand = _only_pair(node, path)
        path = f"{path}.{key}"
        if key == "not":
            return Not(self.node(operand, path, depth + 1))
        if key not in {"and", "or"}:
            return self._comparison(key, operand, path)
        if not isinstance(operand, list) or not operand:
            raise Invalid.field(path, "must be a list of at least one node")
        parts = tuple(self.node(part, f"{path}[{index}]", depth + 1) for index, part in enumerate(operand))
        return Every(parts) if key == "and" else Either(parts)

    def _comparison(self, key: str, operand: Any, path: str) -> Condition:
        operator = Operator.EQ if key == "ne" else Operator(key)
        name, value = _field_and_value(operand, path)
        kind = FIELDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise Invalid.field(f"{path}.field", f"{_shown(name)} is no field; use one of {', '.join(FIELDS)}")
        given = self._listed(value, f"{path}.value") if operator is Operator.IN else {f"{path}.value": value}
        values = tuple(self._read(kind, operator, one, where) for where, one in given.items())
        try:
            condition = kind.ask(operator, values)
        except ValueError as error:
            raise Invalid.field(path, str(error)) from None
        return Not(condition) if key == "ne" else condition

    def _listed(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, list) or not value:
            raise Invalid.field(path, "must be a list of at least one value")
        self._values += len(value)
        if self._values > MAX_VALUES:
            raise Invalid.field(path, f"the lists of a tree may hold {MAX_VALUES} values in all")
        return {f"{path}[{index}]": one for index, one in enumerate(value)}

    def _read(self, kind: Kind, operator: Operator, value: Any, path: str) -> Any:
        try:
            text = _text(value, takes_integers=kind.takes_integers)
            self._bytes += len(text.encode())
            if self._bytes > MAX_BYTES:
                raise ValueError(f"the values of a tree may have {MAX_BYTES} bytes in all")
            return kind.read(text, operator, self._zone, self._viewer_hash)
        except ValueError as error:
            raise Invalid.field(path, str(error)) from None


def _only_pair(node: Any, path: str) -> tuple[str, Any]:
    if not isinstance(node, dict) or len(node) != 1:
        raise Invalid.field(path, f"must be an object with exactly one key of {', '.join(_OPERATORS)}")
    [(key, operand)] = node.items()
    if key not in _OPERATORS:
        raise Invalid.field(path, f"{_shown(key)} is no operator; use one of {', '.join(_OPERATORS)}")
    return key, operand


def _field_and_value(operand: Any, path: str) -> tuple[Any, Any]:
    if not isinstance(operand, dict):
        raise Invalid.field(path, 'must be an object like {"field": "country", "value": "ET"}')
    for key in ("field", "value"):
        if key not in operand:
            raise Invalid.field(f"{path}.{key}", "is required")
    for key in operand:
        if key not in {"field", "value"}:
            raise Invalid.field(path, f"{_shown(key)} is unknown; a comparison has field and value")
    return operand["field"], operand["value"]


def _text(value: Any, *, takes_integers: bool) -> str:
    # bool is an int to Python; an int of thousands of digits cannot be written as text.
    if takes_integers and isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= MAX_TEXT:
        return str(value)
    if not isinstance(value, str):
        raise ValueError("must be a string or an integer" if takes_integers else "must be a string")
    if len(value) > MAX_TEXT:
        raise ValueError(f"must have at most {MAX_TEXT} characters")
    if not is_sound(value):
        raise ValueError(UNSOUND)
    return value


def _shown(sent: Any) -> str:
    """ASCII and short: what was sent may hold anything, half surrogate pairs too."""
    return json.dumps(sent[:60]) if isinstance(sent, str) else "that"
