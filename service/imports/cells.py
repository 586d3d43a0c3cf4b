"""A row of a table as an event: cells by the names of event fields, and an id where the row has none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from service.events.parse import EventIn
from service.imports.event_ids import EventIds

FIELDS = EventIn.__struct_fields__


class UnusableFile(Exception):
    """The file as a whole is not what the import was told it is; one line says how."""


def columns_of(header: Sequence[str], renamed: Mapping[str, str], hint: str = "") -> dict[str, str]:
    """The column of each event field that the file has: one of the field's own name, or the one `renamed` says.

    Columns that are no event field are passed over, as POST /api/events does.
    Raises UnusableFile: `renamed` names a column that is not there, a used one is there twice, or none holds blog_id.
    """
    found = {field: renamed.get(field, field) for field in FIELDS}
    for field, column in renamed.items():
        if column not in header:
            raise UnusableFile(f"there is no column {column!r} for {field}; the columns are {_listed(header)}{hint}")
    used = {field: column for field, column in found.items() if column in header}
    for field, column in used.items():
        if header.count(column) > 1:
            raise UnusableFile(f"the column {column!r} ({field}) is there {header.count(column)} times")
    if "blog_id" not in used:
        raise UnusableFile(
            f"there is no column blog_id; the columns are {_listed(header)}{hint}; name it with --columns blog_id=…"
        )
    return used


def complete(cells: dict[str, object], site: str, ids: EventIds) -> dict[str, object]:
    """The event of a row whose absent cells are left out.

    A row without an event_id gets one made from its cells: another order of columns or way of quoting gives the same.
    """
    row = _encode(cells)
    cells.setdefault("site", site)
    if "event_id" not in cells:
        cells["event_id"] = ids.next_id(str(cells["site"]), row)
    return cells


def moment(text: str) -> str | int:
    """A time as it stands in a table, as the API takes it: digits are epoch milliseconds, no zone is UTC."""
    if text.lstrip("-").isdecimal() and text.isascii():
        return int(text) if len(text) < 20 else text
    return f"{text}Z" if _NO_ZONE(text) else text


_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?", re.ASCII).fullmatch
_encode = msgspec.json.Encoder(order="sorted").encode


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= 40 else f"{name[:40]}…" for name in names[:12])
    return f"{shown}, …" if len(names) > 12 else shown or "none"
