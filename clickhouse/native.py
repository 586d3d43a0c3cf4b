"""ClickHouse's Native block format, for the few column types events and samples have.

A batch is frozen as these bytes: every try sends the same block, as the deduplication token demands. Format:
columns and rows as varints, then per column its name, its type and its values
(https://clickhouse.com/docs/interfaces/formats/Native). LowCardinality columns take plain strings.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Column(NamedTuple):
    name: str
    type: str
    data: bytes


def block(rows: int, columns: Sequence[Column]) -> bytes:
    """One block of `rows` rows."""
    parts = [_varint(len(columns)), _varint(rows)]
    for column in columns:
        parts += (_packed(column.name), _packed(column.type), column.data)
    return b"".join(parts)


def strings(values: Iterable[str]) -> bytes:
    """Length-prefixed UTF-8. Values repeat (sites, countries, blogs), so each is packed once a column."""
    packed: dict[str, bytes] = {}
    parts = []
    for value in values:
        found = packed.get(value)
        if found is None:
            found = packed[value] = _packed(value)
        parts.append(found)
    return b"".join(parts)


def uint32s(values: Iterable[int]) -> bytes:
    return _little_endian(array("I", values))


def uint64s(values: Iterable[int]) -> bytes:
    return _little_endian(array("Q", values))


def int64s(values: Iterable[int]) -> bytes:
    """Also DateTime64: ticks since 1970."""
    return _little_endian(array("q", values))


def float64s(values: Iterable[float]) -> bytes:
    return _little_endian(array("d", values))


def uuids(values: Iterable[bytes]) -> bytes:
    """UUIDs given as 16 big-endian bytes; ClickHouse keeps them as two little-endian halves."""
    halves = array("Q", b"".join(values))
    halves.byteswap()
    return halves.tobytes()


def _little_endian(values: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _packed(value: str) -> bytes:
    data = value.encode()
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
