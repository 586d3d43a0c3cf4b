"""A remote write body, which is snappy's block format around a protobuf message, and the series in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cramjam import DecompressionError, snappy
from google.protobuf.message import DecodeError

from service.remote_write.messages import WriteRequest

MAX_SAMPLES = 100_000  # a request, and as many series: as many as events; Prometheus sends 2,000
_TOO_MANY = f"at most {MAX_SAMPLES} samples a request"


class BrokenBody(ValueError):
    """It is no remote write 1.0 body; one line says what is wrong with it."""


class BodyTooLarge(ValueError):
    """It would be larger than allowed; one line says by what measure."""


class Series(NamedTuple):
    """Labels as they came, `__name__` among them, in order; None: one of them is no UTF-8."""

    labels: list[tuple[str, str]] | None
    samples: list[tuple[int, float]]
    """(epoch milliseconds, value)."""


class Written(NamedTuple):
    """The series of one body, made as they are asked for, and how many of what else was in it, passed over."""

    series: Iterator[Series]
    metadata: int = 0
    exemplars: int = 0
    histograms: int = 0


# Of one series; nobody takes so many.
_LABELS_READ = 1_000

# Fields that may begin in a message: each takes up to 56 bytes when it is parsed, also where it is 2 bytes long. A
# series with nine labels has 29 of them.
_MAX_FIELDS = 4_000_000

# The first bytes of all fields that are not numbers: those of the numbers 1 to 4, in their one-byte form and in the
# longer ones nobody sends, and of groups, which nobody sends either. Other bytes look like them: a few too many count.
_TAGS = bytes(number << 3 | kind | more for number in (1, 2, 3, 4) for kind in (2, 3) for more in (0, 0x80))

# Bytes looked at for them before other threads get their turn, in 1 ms.
_SLICE = 2**20


def decode(body: bytes, limit: int) -> Written:
    """What a sender wrote; unknown fields are passed over. `limit`: bytes after decompression.

    Raises:
        BodyTooLarge: it has more than `limit` bytes, or too many series, samples or other fields.
        BrokenBody: it is no snappy block, or what is in it no WriteRequest.
    """
    request = WriteRequest()
    message = _decompressed(body, limit)
    if _fields(message) > _MAX_FIELDS:
        raise BodyTooLarge(_TOO_MANY)
    try:
        request.ParseFromString(message)
    except DecodeError as error:
        raise BrokenBody("the body is no prometheus.WriteRequest") from error
    found = request.timeseries
    if len(found) > MAX_SAMPLES or sum(len(one.samples) for one in found) > MAX_SAMPLES:
        raise BodyTooLarge(_TOO_MANY)
    return Written(
        (Series(_labels(one.labels), [(it.timestamp, it.value) for it in one.samples]) for one in found),
        len(request.metadata),
        sum(len(one.exemplars) for one in found),
        sum(len(one.histograms) for one in found),
    )


def encode(series: Iterable[Series]) -> bytes:
    """The body for series whose labels are known; they are sent in the order given, which receivers want sorted."""
    request = WriteRequest()
    for labels, samples in series:
        one = request.timeseries.add()
        for name, value in labels or ():
            one.labels.add(name=name.encode(), value=value.encode())
        for timestamp, number in samples:
            one.samples.add(timestamp=timestamp, value=number)
    return bytes(snappy.compress_raw(request.SerializeToString()))


def _decompressed(body: bytes, limit: int) -> bytes:
    """A block begins with the length of what is in it, which is looked at before anything is made."""
    try:
        if snappy.decompress_raw_len(body) > limit:
            raise BodyTooLarge(f"the body is larger than {limit} bytes after decompression")
        return bytes(snappy.decompress_raw(body))
    except DecompressionError as error:
        raise BrokenBody("the body is no snappy block") from error


def _fields(message: bytes) -> int:
    """Not fewer than begin in it."""
    pieces = (message[at : at + _SLICE] for at in range(0, len(message), _SLICE))
    return sum(len(piece) - len(piece.translate(None, _TAGS)) for piece in pieces)


def _labels(sent: Any) -> list[tuple[str, str]] | None:
    try:
        return [(label.name.decode(), label.value.decode()) for label in sent[:_LABELS_READ]]
    except UnicodeDecodeError:
        return None
