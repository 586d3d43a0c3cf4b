"""A request body as bytes: decompressed within a limit (the limit on what is sent stands in service.limits)."""

from __future__ import annotations

import zlib
from enum import Enum

import zstandard
from starlette.requests import Request

from service.problems import NotJson, TooLarge, UnsupportedMedia
from service.settings import Settings


class Format(Enum):
    JSON = "application/json"
    NDJSON = "application/x-ndjson"


_FORMATS = {
    "": Format.JSON,
    "application/json": Format.JSON,
    "application/x-ndjson": Format.NDJSON,
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
}


async def read_body(request: Request, settings: Settings) -> tuple[Format, bytes]:
    """The decompressed body and how to read it.

    Raises:
        UnsupportedMedia: another content type, charset or content encoding.
        TooLarge: over `max_decompressed_bytes` after decompression.
        NotJson: the compression is broken.
    """
    form = _format(request.headers.get("content-type", ""))
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in _DECOMPRESSORS:
        raise UnsupportedMedia(f"Content-Encoding must be one of {', '.join(_DECOMPRESSORS)}")
    sent = await request.body()
    try:
        body = _DECOMPRESSORS[encoding](sent, settings.max_decompressed_bytes)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise NotJson(f"the body is not valid {encoding}") from error
    if len(body) > settings.max_decompressed_bytes:
        raise TooLarge(f"the body is larger than {settings.max_decompressed_bytes} bytes after decompression")
    return form, body


def _format(content_type: str) -> Format:
    kind, _, parameters = content_type.partition(";")
    charset = parameters.lower().partition("charset=")[2].strip(' "')
    form = _FORMATS.get(kind.strip().lower())
    if form is None or charset not in {"", "utf-8", "utf8"}:
        raise UnsupportedMedia("Content-Type must be application/json or application/x-ndjson, in UTF-8")
    return form


def _identity(body: bytes, _limit: int) -> bytes:
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """All members of a gzip file; stops at one byte over the limit."""
    out = bytearray()
    while body and len(out) <= limit:
        inflate = zlib.decompressobj(wbits=31)
        out += inflate.decompress(body, limit + 1 - len(out))
        if not inflate.eof and len(out) <= limit:
            raise EOFError
        body = inflate.unused_data
    return bytes(out)


def _deflate(body: bytes, limit: int) -> bytes:
    """RFC 9110 means the zlib format; some clients send the bare stream."""
    try:
        return _inflate(body, limit, wbits=15)
    except zlib.error:
        return _inflate(body, limit, wbits=-15)


def _inflate(body: bytes, limit: int, wbits: int) -> bytes:
    inflate = zlib.decompressobj(wbits)
    out = inflate.decompress(body, limit + 1)
    if not inflate.eof and len(out) <= limit:
        raise EOFError
    return out


def _zstd(body: bytes, limit: int) -> bytes:
    out = bytearray()
    while body and len(out) <= limit:
        frame = zstandard.ZstdDecompressor().decompressobj()
        # 128 kB in, at most a few MB out: a bomb is noticed before it has grown.
        for start in range(0, len(body), _ZSTD_STEP):
            out += frame.decompress(body[start : start + _ZSTD_STEP])
            if len(out) > limit:
                return bytes(out)
            if frame.eof:
                break
        if not frame.eof:
            raise EOFError
        body = frame.unused_data + body[start + _ZSTD_STEP :]
    return bytes(out)


_ZSTD_STEP = 1 << 10

_DECOMPRESSORS = {"identity": _identity, "gzip": _gzip, "deflate": _deflate, "zstd": _zstd}
