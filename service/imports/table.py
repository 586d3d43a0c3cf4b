"""CSV: the rows of a file whose first one names the columns, one at a time and in bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence

from service.imports.cells import UnusableFile, columns_of, complete, moment
from service.imports.event_ids import EventIds
from service.imports.lines import Line
from service.imports.reasons import Reason

# Characters of one cell, as Python's csv has it; a quote that is never closed ends there and costs so much of the file.
CELL_LIMIT = 131_072


class Row:
    """The lines of the row being read."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.number = 0
        self.offset = 0
        self.raw = b""
        self.fault: Reason | None = None
        self._begun = False

    def begin(self) -> None:
        self._begun = False
        self.fault = None

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if not self._begun:
                self.number, self.raw, self._begun = line.number, line.raw, True
            self.offset = line.offset
            if not line.whole:
                self.fault = Reason.TOO_LONG
            try:
                yield line.raw.decode("utf-8-sig" if line.number == 1 else "utf-8") + "\n"
            except UnicodeDecodeError:
                self.fault = self.fault or Reason.NOT_UTF8
                yield line.raw.decode("utf-8", "replace") + "\n"


def read_rows(
    lines: Iterator[Line], site: str, renamed: Mapping[str, str], delimiter: str
) -> Iterator[tuple[Row, dict[str, object] | Reason]]:
    """Every row below the header, with the lines it stands on. Raises UnusableFile: the header is none, or lacks a
    column."""
    row, ids = Row(lines), EventIds()
    reader = csv.reader(row, delimiter=delimiter)
    header = _header(row, reader)
    fields = _fields(header, renamed, delimiter)
    while True:
        row.begin()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # The next row begins with the line after: csv starts anew.
            yield row, Reason.TOO_LONG if "limit" in str(error) else Reason.COLUMNS
            continue
        if cells is None:
            return
        yield row, row.fault or _event(cells, len(header), fields, site, ids)


def _header(row: Row, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise UnusableFile(f"the first line names no columns: {error}") from error
    if header is None:
        raise UnusableFile("it is empty: the first line has to name the columns")
    if row.fault is not None:
        raise UnusableFile(f"the first line names no columns: it is {row.fault.replace('_', ' ')}")
    return [name.strip() for name in header]


def _fields(header: list[str], renamed: Mapping[str, str], delimiter: str) -> list[tuple[int, str]]:
    other = next((mark for mark in ";\t|," if mark != delimiter and mark in header[0]), None) if header else None
    hint = f" (is it separated by {other!r}? then say --delimiter)" if other and len(header) == 1 else ""
    used = columns_of(header, renamed, hint)
    return [(header.index(column), field) for field, column in used.items()]


def _event(
    cells: list[str], width: int, fields: Sequence[tuple[int, str]], site: str, ids: EventIds
) -> dict[str, object] | Reason:
    if not cells:
        return Reason.BLANK
    if len(cells) != width:
        return Reason.COLUMNS
    event: dict[str, object] = {field: cells[at] for at, field in fields if cells[at] != ""}
    if "viewed_at" in event:
        event["viewed_at"] = moment(str(event["viewed_at"]))
    return complete(event, site, ids)
