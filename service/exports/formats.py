"""Rows as OpenMetrics, CSV, NDJSON and Parquet, a portion at a time.

Of each it can be told whether it is whole: OpenMetrics ends in `# EOF`, Parquet in its footer; CSV and NDJSON have no
end of their own, and rely on whoever carries them (routes.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from clickhouse.engine import Row
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.samples import labels_of
from service.exports.parameters import Format
from service.problems import Invalid
from service.samples import openmetrics

if TYPE_CHECKING:
    import pyarrow as pa

HELP = "Exported from Readership"


class Writer(Protocol):
    """Of one file. Not to be called by two at once."""

    def begin(self) -> bytes: ...

    def rows(self, rows: Sequence[Row]) -> bytes: ...

    def end(self) -> bytes: ...


@dataclass(frozen=True)
class Table:
    """The columns of a dataset's rows; those that are no plain text are instants (epoch ms), labels (JSON) or
    numbers."""

    columns: tuple[str, ...]
    instant: str
    labels: str = ""
    number: str = ""

    def shown(self, rows: Sequence[Row], labels: Callable[[str], Any] = str) -> Iterator[list[Any]]:
        """With instants as RFC 3339."""
        at = self.columns.index(self.instant)
        of_labels = self.columns.index(self.labels) if self.labels else None
        for row in rows:
            cells = list(row)
            cells[at] = rfc3339(from_epoch_ms(cells[at]))
            if of_labels is not None:
                cells[of_labels] = labels(cells[of_labels])
            yield cells


# As POST /api/samples and POST /api/events take them. A viewer is known by a hash alone, which stands for the id.
SAMPLES = Table(("site", "metric", "labels", "at", "value"), "at", "labels", "value")
EVENTS = Table(
    ("event_id", "site", "blog_id", "author_id", "country", "viewer_id", "viewed_at", "url", "referrer"), "viewed_at"
)

MEDIA_TYPES = {
    Format.OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
    Format.PARQUET: "application/vnd.apache.parquet",
}

ENDINGS = {Format.OPENMETRICS: "txt", Format.CSV: "csv", Format.NDJSON: "ndjson", Format.PARQUET: "parquet"}


def writer(format_: Format, table: Table, metric: str) -> Writer:
    """Raises Invalid: it cannot be written here."""
    match format_:
        case Format.OPENMETRICS:
            return OpenMetrics(metric)
        case Format.CSV:
            return Csv(table)
        case Format.NDJSON:
            return Ndjson(table)
        case Format.PARQUET:
            try:
                return Parquet(table)
            except ImportError as error:
                message = "parquet is written by pyarrow, which the service lacks: pip install 'readership[parquet]'"
                raise Invalid.field("format", message) from error


class OpenMetrics:
    """Of one metric: rows of SAMPLES."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def begin(self) -> bytes:
        return openmetrics.head(self._metric, HELP).encode()

    def rows(self, rows: Sequence[Row]) -> bytes:
        return "".join(
            openmetrics.lines(self._metric, labels_of(labels), ((_seconds(row[3]), row[4]) for row in series))
            for labels, series in groupby(rows, key=lambda row: str(row[2]))
        ).encode()

    def end(self) -> bytes:
        return openmetrics.EOF_LINE.encode()


def _seconds(epoch_ms: int) -> str:
    """Not as a float: of 1e9 seconds that has the milliseconds, but not in as few digits."""
    seconds, milliseconds = divmod(epoch_ms, 1000)
    return f"{seconds}.{milliseconds:03d}"


class Csv:
    def __init__(self, table: Table) -> None:
        self._table = table

    def begin(self) -> bytes:
        return _csv([self._table.columns])

    def rows(self, rows: Sequence[Row]) -> bytes:
        return _csv(self._table.shown(rows))

    def end(self) -> bytes:
        return b""


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


class Ndjson:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._encode = msgspec.json.Encoder().encode_lines

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        shown = self._table.shown(rows, lambda text: msgspec.Raw(text.encode()))
        return self._encode([dict(zip(self._table.columns, cells, strict=True)) for cells in shown])

    def end(self) -> bytes:
        return b""


class Parquet:
    """A row group a portion; instants are timestamps, UTC."""

    def __init__(self, table: Table) -> None:
        """Raises ImportError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {table.instant: pa.timestamp("ms", tz="UTC"), table.number: pa.float64()}
        self._schema: pa.Schema = pa.schema([(name, kinds.get(name, pa.string())) for name in table.columns])
        self._written = io.BytesIO()
        self._file = pq.ParquetWriter(self._written, self._schema, compression="zstd")
        self._batch = pa.record_batch

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._file.write_batch(self._batch(columns, schema=self._schema))
        return self._taken()

    def end(self) -> bytes:
        self._file.close()
        return self._taken()

    def _taken(self) -> bytes:
        """What was written since the last time. The writer counts bytes by itself, and asks nobody where it is."""
        taken = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return taken
