"""A request body as bytes: decompressed within a limit (the limit on what is sent stands in service.limits)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from enum import Enum
from io import BytesIO
from typing import Protocol

import zstandard
from starlette.requests import Request

from service.problems import NotJson, TooLarge, UnsupportedMedia
from service.settings import Settings

# Members of gzip or frames of zstd in one body. Clients that flush a few times send a few; 10 MiB of empty ones
# are a million (zstd: 9 bytes each; without this cap, and with the rest copied for each, 1 MiB took 13.8 s).
MAX_FRAMES = 16


class Format(Enum):
    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    PROMETHEUS = "text/plain"
    OPENMETRICS = "application/openmetrics-text"


JSON_TYPES = {
    "application/json": Format.JSON,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
}


async def read_body(request: Request, settings: Settings, types: Mapping[str, Format]) -> tuple[Format, bytes]:
    """The decompressed body and how to read it: JSON where no content type is given, else what `types` says.

    Raises:
        UnsupportedMedia: another content type, charset or content encoding.
        TooLarge: over `max_decompressed_bytes` after decompression.
        NotJson: the compression is broken, or in more than MAX_FRAMES pieces.
    """
    form = _format(request.headers.get("content-type", ""), types)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _DECOMPRESSORS:
        raise UnsupportedMedia(f"Content-Encoding must be one of {', '.join(_DECOMPRESSORS)}")
    sent = await request.body()
    decompress, limit = _DECOMPRESSORS[encoding], settings.max_decompressed_bytes
    if decompress is _identity:
        return form, _identity(sent, limit)
    try:
        # In a thread whatever was sent, which costs 0.1 ms: 2 kB of zstd can be 64 MiB, and those take 0.1 s.
        return form, await asyncio.to_thread(decompress, sent, limit)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise NotJson(f"the body is not valid {encoding}") from error


def _format(content_type: str, types: Mapping[str, Format]) -> Format:
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    form = types.get(kind) if kind else Format.JSON
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    if form is None or charset not in {"", "utf-8", "utf8"}:
        *first, last = dict.fromkeys(form.value for form in types.values())
        raise UnsupportedMedia(f"Content-Type must be {', '.join(first)} or {last}, in UTF-8")
    return form


def _identity(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    return _walk(body, limit, lambda: zlib.decompressobj(wbits=31), _DEFLATE_GROWTH)


def _deflate(body: bytes, limit: int) -> bytes:
    """RFC 9110 means the zlib format; some clients send the bare stream."""
    try:
        return _walk(body, limit, lambda: zlib.decompressobj(wbits=15), _DEFLATE_GROWTH)
    except zlib.error:
        return _walk(body, limit, lambda: zlib.decompressobj(wbits=-15), _DEFLATE_GROWTH)


def _zstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return _walk(body, limit, decompressor.decompressobj, _ZSTD_GROWTH)


# What one byte can become. Deflate: 258 bytes in 2 bits. Zstd: a block of 128 KiB in a header of 3 bytes and one more.
_DEFLATE_GROWTH = 1_032
_ZSTD_GROWTH = 2**15
_ZSTD_WINDOW = 8 * 2**20  # RFC 9659: no more is to be sent over HTTP

_LEAST = 64


class _Stream(Protocol):
    """What zlib's and zstandard's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, /) -> bytes: ...


def _walk(body: bytes, limit: int, start: Callable[[], _Stream], growth: int) -> bytes:
    """All frames of the body, one after the other; nothing of it is copied but the piece being read.

    A piece is so small that it cannot pass the limit by more than `_LEAST * growth`: 64 KiB, with zstd 2 MiB.
    """
    view, out, at = memoryview(body), BytesIO(), 0
    for _ in range(MAX_FRAMES):
        stream = start()
        while not stream.eof:
            if at == len(view):
                raise EOFError
            piece = view[at : at + max(_LEAST, (limit - out.tell()) // growth)]
            out.write(stream.decompress(piece))
            if out.tell() > limit:
                raise _too_large(limit)
            at += len(piece)
        at -= len(stream.unused_data)
        if at == len(view):
            return out.getvalue()
    raise NotJson(f"the body is compressed in more than {MAX_FRAMES} pieces")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes after decompression")


_DECOMPRESSORS = {"identity": _identity, "gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
