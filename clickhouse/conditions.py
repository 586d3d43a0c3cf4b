"""What is asked of single views: a tree of conditions, and how it reads as SQL.

Conditions are two-valued. What is compared with an unknown value (an empty string; a blog or an author that is
not registered) does not hold, so its complement does; only `country = ''` asks for the unknown country.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import cast

from clickhouse.instants import sql_text
from clickhouse.statement import Value


class Operator(StrEnum):
    EQ = "eq"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    CONTAINS = "contains"
    IN = "in"


class Field(StrEnum):
    """Columns of an event, and after a dot what the registry knows of its blog or author."""

    COUNTRY = "country"
    BLOG = "blog_id"
    AUTHOR = "author_id"
    VIEWER = "viewer"
    BLOG_TITLE = "blog.title"
    BLOG_CREATED_AT = "blog.created_at"  # epoch milliseconds
    BLOG_COUNTRY = "blog.country"
    AUTHOR_USERNAME = "author.username"

    @property
    def registry(self) -> str | None:
        """The table that knows it; None for a column of the event itself."""
        owner, dot, _ = self.partition(".")
        return f"{owner}s" if dot else None

    @property
    def column(self) -> str:
        """The column of an event that it is, or is looked up by."""
        return _KEYS[self.registry] if self.registry else self.value


_KEYS = {"blogs": "blog_id", "authors": "author_id"}


@dataclass(frozen=True)
class Every:
    of: tuple[Condition, ...]


@dataclass(frozen=True)
class Either:
    of: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The plain complement."""

    of: Condition


@dataclass(frozen=True)
class Compare:
    """One value, or any number of them with IN; none of no values holds.

    Strings are ordered by code point; CONTAINS ignores case by Unicode's full case folding.
    """

    field: Field
    operator: Operator
    values: tuple[str | int, ...]


@dataclass(frozen=True)
class Within:
    """Viewed in `[start, end)`: aware UTC to the millisecond, 1970 to 2105; None leaves that side open."""

    start: datetime | None
    end: datetime | None


Condition = Every | Either | Not | Compare | Within

ANY_ROW = Every(())


def columns(condition: Condition) -> frozenset[str]:
    """The event columns it looks at, beside the time."""
    return frozenset(leaf.field.column for leaf in _leaves(condition) if isinstance(leaf, Compare))


def instants(condition: Condition) -> frozenset[datetime]:
    """Where it may change with time: it is the same throughout any bucket that holds none of these inside."""
    ends = (end for leaf in _leaves(condition) if isinstance(leaf, Within) for end in (leaf.start, leaf.end))
    return frozenset(end for end in ends if end is not None)


def sql(condition: Condition, time: str, viewer: str | None = "t.viewer") -> tuple[str, dict[str, Value]]:
    """A boolean over the rows of a table called `t`, never NULL, and the values it binds: `f0`, `f1`, …

    The same condition binds the same values whatever it is asked of. `time` is the column that Within looks at, a
    DateTime or DateTime64; without a `viewer` column no viewer is anybody. The caller binds `site`, and sees that the
    values of one IN stay under 50 kB.
    """
    writer = _Writer(time, viewer)
    return writer.text(condition), writer.values


def _leaves(condition: Condition) -> Iterator[Compare | Within]:
    match condition:
        case Every(of) | Either(of):
            for part in of:
                yield from _leaves(part)
        case Not(of):
            yield from _leaves(of)
        case _:
            yield condition


def _registry(condition: Condition) -> str | None:
    """The one registry that decides it; a Not is true of unregistered ids too, so no registry knows where."""
    match condition:
        case Compare(field):
            return field.registry
        case Every(of) | Either(of):
            found = {_registry(part) for part in of}
            return found.pop() if len(found) == 1 else None
        case _:
            return None


_COMPARISONS = {
    Operator.EQ: "{} = {}",
    Operator.LT: "{} < {}",
    Operator.LTE: "{} <= {}",
    Operator.GT: "{} > {}",
    Operator.GTE: "{} >= {}",
    # Not positionCaseInsensitiveUTF8: of all pairs of letters that differ in case alone it misses 1,696 (ς and Σ,
    # Georgian, Cherokee). Folding (since 26.3) is context-free, and Python's casefold() on all of Unicode 14.
    Operator.CONTAINS: "position(caseFoldUTF8({}), caseFoldUTF8({})) > 0",
    Operator.IN: "{} IN {}",
}

_INSTANT = "DateTime64(3, 'UTC')"
_TYPES = {Field.VIEWER: "UInt64", Field.BLOG_CREATED_AT: "Int64"}


class _Writer:
    def __init__(self, time: str, viewer: str | None) -> None:
        self.values: dict[str, Value] = {}
        self._time = time
        self._viewer = viewer

    def text(self, condition: Condition, inside: str | None = None) -> str:
        """`inside` is the registry whose columns can be named, None where those of `t` can."""
        # As much as one registry can decide is one subquery: a row is unique there, so AND and OR may move inside.
        registry = None if inside else _registry(condition)
        if registry:
            key = _KEYS[registry]
            found = f"SELECT {key} FROM {registry} FINAL WHERE site = {{site:String}} AND "
            return f"t.{key} IN ({found}{self.text(condition, registry)})"
        match condition:
            case Every(of):
                return _joined(" AND ", [self.text(part, inside) for part in of]) or "true"
            case Either(of):
                return _joined(" OR ", [self.text(part, inside) for part in of]) or "false"
            case Not(of):
                return f"NOT ({self.text(of)})"
            case Within(start, end):
                return self._within(start, end)
            case Compare():
                return self._comparison(condition)

    def _within(self, start: datetime | None, end: datetime | None) -> str:
        sides = [(">=", start), ("<", end)]
        # Also for a DateTime, which takes no fractions of a second itself but compares with what does.
        parts = [f"{self._time} {sign} {self._bound(_INSTANT, sql_text(side))}" for sign, side in sides if side]
        return _joined(" AND ", parts) or "true"

    def _comparison(self, asked: Compare) -> str:
        if not asked.values:
            return "false"
        type_ = _TYPES.get(asked.field, "String")
        is_list = asked.operator is Operator.IN
        value = cast(Value, list(dict.fromkeys(asked.values)) if is_list else asked.values[0])
        bound = self._bound(f"Array({type_})" if is_list else type_, value)
        column = self._column(asked.field)
        if column is None:
            return "false"
        comparison = _COMPARISONS[asked.operator].format(column, bound)
        return comparison if _of_known(asked) else f"({column} != '' AND {comparison})"

    def _column(self, field: Field) -> str | None:
        if field is Field.VIEWER:
            return self._viewer
        if field is Field.BLOG_CREATED_AT:
            return "toUnixTimestamp64Milli(created_at)"
        return field.partition(".")[2] if field.registry else f"t.{field}"

    def _bound(self, type_: str, value: Value) -> str:
        name = f"f{len(self.values)}"
        self.values[name] = value
        return f"{{{name}:{type_}}}"


def _joined(word: str, parts: list[str]) -> str:
    return f"({word.join(parts)})" if len(parts) > 1 else "".join(parts)


def _of_known(asked: Compare) -> bool:
    """Whether it cannot hold of an unknown value, or is meant to."""
    if asked.field in _TYPES:
        return True
    exact = asked.operator in {Operator.EQ, Operator.IN}
    return exact and (asked.field is Field.COUNTRY or "" not in asked.values)
