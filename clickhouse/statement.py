"""SQL with its values, and lists of values cut to what one statement may carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

Value = str | int | list[str] | list[int]

# A server refuses values over 128 kB; quotes, commas and escapes come on top of the text.
_VALUE_BYTES = 50_000


@dataclass(frozen=True)
class Statement:
    """SQL that can be pasted into a console, and the values of its `{name:Type}` placeholders."""

    sql: str
    values: dict[str, Value] = field(default_factory=dict)


def portions(items: Iterable[T], texts: Callable[[T], Iterable[str]], most: int = 10_000) -> Iterator[list[T]]:
    """The items in lists of which each text can be bound as one array: by bytes, and at most `most` of them."""
    portion: list[T] = []
    size = 0
    for item in items:
        length = max(len(text.encode()) for text in texts(item)) + 4
        if portion and (size + length > _VALUE_BYTES or len(portion) == most):
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += length
    if portion:
        yield portion
