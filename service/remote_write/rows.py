"""From the series of a body to valid samples, by the rules that every sample is held against."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from clickhouse.samples import Sample
from service.ingest.rejections import Rejection
from service.remote_write.codec import Series
from service.samples.parse import Parser, SampleIn

# "From here on there is no value": written by Prometheus where a series ends, a NaN like no other.
_STALE = struct.pack("<Q", 0x7FF0_0000_0000_0002)
_bits = struct.Struct("<d").pack


class Taken(NamedTuple):
    samples: list[Sample]
    rejected: list[Rejection]
    stale: int
    """Staleness markers, which are no samples and were passed over."""


def read(series: Iterator[Series], parser: Parser, slice_: int) -> Iterator[Taken]:
    """What there is, some `slice_` samples at a time."""
    sent = _samples(series)
    while part := [*islice(sent, slice_)]:
        parsed = parser.take((index, one) for index, one in enumerate(part) if one is not None)
        yield Taken(parsed.samples, parsed.rejected, part.count(None))


def _samples(series: Iterator[Series]) -> Iterator[SampleIn | Rejection | None]:
    """None: a staleness marker."""
    for labels, samples in series:
        wrong, named = _named(labels)
        metric = named.pop("__name__", None)
        for at, value in samples:
            if value != value and _bits(value) == _STALE:
                yield None
            elif wrong:
                yield Rejection(0, "labels", wrong)
            else:
                yield SampleIn(metric=metric, value=value, at=at, labels=named)


def _named(labels: list[tuple[str, str]] | None) -> tuple[str, dict[str, str]]:
    """What is wrong with them, or else the labels by name."""
    if labels is None:
        return "must be UTF-8", {}
    named = dict(labels)
    return ("" if len(named) == len(labels) else "must each have a name of its own"), named
