"""The lines of a log file, plain or gzip, one at a time and in bounded memory."""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

# Web servers cut a request line at 8 KiB and an event holds a few hundred bytes, so a longer line is no log
# line; without the limit a binary file without a newline would be read into memory as one.
LINE_LIMIT = 1 << 20


class Line(NamedTuple):
    """One line: `raw` is what stands between the line breaks, its first MiB when not `whole`.

    `offset` is how far the file on disk has been read (for .gz: compressed bytes); over its size, progress.
    """

    number: int
    offset: int
    raw: bytes
    whole: bool


def read_lines(path: Path) -> Iterator[Line]:
    """Yield every line of the file, numbered from 1; a name ending in .gz is unzipped on the way.

    Raises OSError where the file cannot be read, also for a cut or damaged .gz: the lines before that point
    have been yielded by then.
    """
    with path.open("rb") as disk:
        if path.suffix.lower() != ".gz":
            yield from _split(disk, disk)
            return
        try:
            with gzip.GzipFile(fileobj=disk) as unzipped:
                yield from _split(unzipped, disk)
        except (EOFError, zlib.error) as damage:
            raise gzip.BadGzipFile(f"{path}: {damage}") from damage


def _split(text: BufferedIOBase, disk: BufferedIOBase) -> Iterator[Line]:
    number = 0
    while raw := text.readline(LINE_LIMIT):
        number += 1
        whole = raw.endswith(b"\n") or len(raw) < LINE_LIMIT
        if not whole:
            _skip_to_line_end(text)
        yield Line(number, disk.tell(), raw.rstrip(b"\r\n"), whole)


def _skip_to_line_end(text: BufferedIOBase) -> None:
    while (rest := text.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
        pass
