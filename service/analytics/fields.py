"""The fields a filter tree may name: what their values must look like, and what a comparison with them asks."""

from __future__ import annotations

import operator as compare
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from clickhouse.conditions import Compare, Condition, Either, Every, Field, Operator, Within
from clickhouse.instants import EPOCH, epoch_ms
from service import continents, countries
from service.analytics.moments import span

ViewerHash = Callable[[str], int]
"""The viewer column's number for a viewer_id of the site that is asked about."""

_EXACT = frozenset({Operator.EQ, Operator.IN})


class Kind(Protocol):
    """How one field is compared; both methods raise ValueError with what would be right."""

    @property
    def takes_integers(self) -> bool: ...

    def read(self, text: str, operator: Operator, zone: ZoneInfo, viewer_hash: ViewerHash) -> Any:
        """What `ask` needs of one value."""
        ...

    def ask(self, operator: Operator, values: tuple[Any, ...]) -> Condition:
        """One value, several with IN."""
        ...


@dataclass(frozen=True)
class Text:
    field: Field
    takes_integers: bool = False

    def read(self, text: str, operator: Operator, zone: ZoneInfo, viewer_hash: ViewerHash) -> str:
        return text

    def ask(self, operator: Operator, values: tuple[str, ...]) -> Condition:
        return Compare(self.field, operator, values)


@dataclass(frozen=True)
class Country:
    """Compared here, over all countries there are: the condition lists their codes."""

    field: Field
    labels: Callable[[], Mapping[str, str]]
    """Code → what is compared."""
    exactly: Callable[[str], str]
    """The label that a value of `eq` or `in` stands for; raises ValueError when there is none."""
    loosely: Callable[[str], str] = str
    """What labels are compared with by the other operators."""
    takes_integers: bool = False

    def read(self, text: str, operator: Operator, zone: ZoneInfo, viewer_hash: ViewerHash) -> str:
        return self.exactly(text) if operator in _EXACT else self.loosely(text)

    def ask(self, operator: Operator, values: tuple[str, ...]) -> Condition:
        holds = _HOLDS.get(operator)
        codes = (
            code
            for code, label in sorted(self.labels().items())
            if (label in values if holds is None else label and holds(label, values[0]))
        )
        return Compare(self.field, Operator.IN, tuple(codes))


_HOLDS: dict[Operator, Callable[[str, str], bool]] = {
    Operator.LT: compare.lt,
    Operator.LTE: compare.le,
    Operator.GT: compare.gt,
    Operator.GTE: compare.ge,
    Operator.CONTAINS: lambda label, part: part.casefold() in label.casefold(),
}


@dataclass(frozen=True)
class Time:
    """A date is a whole day: before it, in it, after it."""

    between: Callable[[datetime | None, datetime | None], Condition]
    """The condition 'in `[start, end)`', None is open."""
    takes_integers: bool = False

    def read(self, text: str, operator: Operator, zone: ZoneInfo, viewer_hash: ViewerHash) -> tuple[datetime, datetime]:
        return span(text, zone)

    def ask(self, operator: Operator, values: tuple[tuple[datetime, datetime], ...]) -> Condition:
        start, end = values[0]
        match operator:
            case Operator.LT:
                return self.between(None, start)
            case Operator.LTE:
                return self.between(None, end)
            case Operator.GT:
                return self.between(end, None)
            case Operator.GTE:
                return self.between(start, None)
            case Operator.EQ:
                return self.between(start, end)
            case Operator.IN:
                return Either(tuple(self.between(*value) for value in values))
            case Operator.CONTAINS:
                raise ValueError("is not for times; use eq, ne, lt, lte, gt, gte or in")


@dataclass(frozen=True)
class Viewer:
    """Only a hash of the id is stored."""

    takes_integers: bool = True

    def read(self, text: str, operator: Operator, zone: ZoneInfo, viewer_hash: ViewerHash) -> int | None:
        return viewer_hash(text) if text else None

    def ask(self, operator: Operator, values: tuple[int | None, ...]) -> Condition:
        if operator not in _EXACT:
            raise ValueError("is not for viewer_id; use eq, ne or in")
        return Compare(Field.VIEWER, Operator.IN, tuple(value for value in values if value is not None))


# What is stored lies between these, and a DateTime column can be compared with them.
_EARLIEST = EPOCH
_LATEST = datetime(2106, 1, 1, tzinfo=UTC)


def _viewed(start: datetime | None, end: datetime | None) -> Condition:
    return Within(*(side and min(max(side, _EARLIEST), _LATEST) for side in (start, end)))


def _created(start: datetime | None, end: datetime | None) -> Condition:
    sides = ((Operator.GTE, start), (Operator.LT, end))
    asked = (Compare(Field.BLOG_CREATED_AT, operator, (epoch_ms(side),)) for operator, side in sides if side)
    return Every(tuple(asked))


@cache
def _codes() -> Mapping[str, str]:
    return {"": "", **{code: code for code in countries.names()}}


@cache
def _names() -> Mapping[str, str]:
    return {"": countries.UNKNOWN, **countries.names()}


@cache
def _continents() -> Mapping[str, str]:
    return {country: continents.NAMES[code] for country, code in continents.OF_COUNTRY.items()}


def _name(text: str) -> str:
    if text not in _names().values():
        raise ValueError("must be the English name of a country as in Unicode's CLDR, such as Ethiopia, or Unknown")
    return text


def _continent(text: str) -> str:
    for code, name in continents.NAMES.items():
        if text.casefold() in {code.casefold(), name.casefold()}:
            return name
    raise ValueError(f"must be one of {', '.join(continents.NAMES)}, or the English name of a continent")


_COUNTRY = Country(Field.COUNTRY, _codes, countries.normalise, str.upper)
_AUTHOR = Text(Field.AUTHOR, takes_integers=True)
_USERNAME = Text(Field.AUTHOR_USERNAME)

FIELDS: Mapping[str, Kind] = {
    "country": _COUNTRY,
    "country.code": _COUNTRY,
    "country.name": Country(Field.COUNTRY, _names, _name),
    "country.continent": Country(Field.COUNTRY, _continents, _continent),
    "blog.id": Text(Field.BLOG, takes_integers=True),
    "blog.title": Text(Field.BLOG_TITLE),
    "blog.created_at": Time(_created),
    "blog.country": Country(Field.BLOG_COUNTRY, _codes, countries.normalise, str.upper),
    "author.id": _AUTHOR,
    "user.id": _AUTHOR,
    "blog.author.id": _AUTHOR,
    "author.username": _USERNAME,
    "blog.author.username": _USERNAME,
    "viewed_at": Time(_viewed),
    "viewer_id": Viewer(),
}
