"""Parquet: the rows of a file, some thousand at a time; only the columns that events have are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from service.imports.cells import UnusableFile, columns_of, complete, moment
from service.imports.event_ids import EventIds
from service.imports.reasons import Reason

if TYPE_CHECKING:
    import pyarrow as pa

# Rows that are Python objects at a time: some 10 MB. Pages are read as they are needed, not whole row groups.
_ROWS = 10_000


def read_rows(
    path: Path, site: str, renamed: Mapping[str, str]
) -> Iterator[tuple[int, int, dict[str, object] | Reason]]:
    """Every row: its number from 1, about how many bytes of the file are read by then, and the event or why none.

    Numbers of `viewed_at` are epoch milliseconds, timestamps without a zone UTC. Raises UnusableFile.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UnusableFile(
            "Parquet is read by pyarrow, which is not here: pip install 'readership[parquet]'"
        ) from error

    ids, size = EventIds(), path.stat().st_size
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            used = columns_of(file.schema_arrow.names, renamed)
            for field, column in used.items():
                _refuse_unfit(field, column, file.schema_arrow.field(column).type)
            rows, number = max(1, file.metadata.num_rows), 0
            for batch in file.iter_batches(_ROWS, columns=list(used.values()), use_threads=False):
                columns = [(field, _values(field, batch.column(column))) for field, column in used.items()]
                for at in range(batch.num_rows):
                    number += 1
                    yield number, size * number // rows, _event([(field, of[at]) for field, of in columns], site, ids)
    except (pa.ArrowException, OSError) as error:
        line = str(error).strip().partition("\n")[0]
        raise UnusableFile(f"it is no whole Parquet file: {line}") from error


def _refuse_unfit(field: str, column: str, kind: pa.DataType) -> None:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)
    number = types.is_integer(kind) or types.is_floating(kind)
    fits = {
        "viewed_at": text or number or types.is_timestamp(kind),
        "event_id": text or types.is_fixed_size_binary(kind) or str(kind).startswith("extension<arrow.uuid"),
    }.get(field, text or number)
    if not fits:
        raise UnusableFile(f"the column {column!r} ({field}) holds {kind}")


_NOT_TEXT = object()


def _values(field: str, column: pa.Array) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        epoch_ms: list[Any] = pc.cast(pc.cast(column, pa.timestamp("ms"), safe=False), pa.int64()).to_pylist()
        return epoch_ms
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = [_text(column[at]) for at in range(len(column))]
    return [_plain(field, value) for value in values]


def _text(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _NOT_TEXT


def _plain(field: str, value: Any) -> Any:
    """pandas keeps whole numbers with gaps as floats, and NaN for a gap."""
    if isinstance(value, str):
        return (moment(value) if field == "viewed_at" else value) or None
    if isinstance(value, float):
        return None if value != value else int(value) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == 16 else _NOT_TEXT
    return str(value) if isinstance(value, (UUID, datetime)) else value


def _event(cells: list[tuple[str, Any]], site: str, ids: EventIds) -> dict[str, object] | Reason:
    if any(value is _NOT_TEXT for _, value in cells):
        return Reason.NOT_UTF8
    return complete({field: value for field, value in cells if value is not None}, site, ids)
