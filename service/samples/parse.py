"""From what was sent to valid samples: each is either a Sample or a rejection that names the field and the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import NamedTuple

import msgspec

from clickhouse.samples import Sample
from service.ingest.items import Item
from service.ingest.moments import moment
from service.ingest.rejections import NOT_JSON, OUT_OF_RANGE, Rejection, Wrong, decode, text
from service.parameters import MAX_SITE
from service.samples.series import checked_labels, checked_metric

NOT_FINITE = "must be a finite number"


class SampleIn(msgspec.Struct, gc=False):
    """One sample as sent; null counts as absent, unknown fields are passed over."""

    metric: str | None = None
    labels: Mapping[str, str | int | None] | None = None
    at: str | int | None = None
    value: float | None = None
    site: str | None = None


class Parsed(NamedTuple):
    samples: list[Sample]
    rejected: list[Rejection]


_one = msgspec.json.Decoder(SampleIn)


class Parser:
    """One for a request, received `now` (epoch ms), whose samples belong to `site` where they do not say."""

    def __init__(self, now: int, site: str) -> None:
        self._now = now
        self._site = site
        # A request brings many samples of few series.
        self._written: dict[tuple[tuple[str, str | int | None], ...], str] = {}

    def parse(self, items: Iterable[Item], first_index: int = 0) -> Parsed:
        """Decodes, validates and normalises; what is wrong with one item never costs another."""
        return self.take((index, _decoded(index, item)) for index, item in enumerate(items, first_index))

    def take(self, found: Iterable[tuple[int, SampleIn | Rejection]]) -> Parsed:
        """The same for what is read already, by its index in the request."""
        samples: list[Sample] = []
        rejected: list[Rejection] = []
        for index, sent in found:
            if isinstance(sent, Rejection):
                rejected.append(sent)
                continue
            try:
                samples.append(self._sample(sent))
            except Wrong as wrong:
                rejected.append(Rejection(index, wrong.field, wrong.reason))
        return Parsed(samples, rejected)

    def _sample(self, sent: SampleIn) -> Sample:
        if sent.metric is None:
            raise Wrong("metric", "is required")
        if sent.value is None:
            raise Wrong("value", "is required")
        if not isfinite(sent.value):
            raise Wrong("value", NOT_FINITE)
        return Sample(
            self._site if sent.site is None else text("site", sent.site, MAX_SITE),
            checked_metric(sent.metric),
            self._labels(sent.labels) if sent.labels else "{}",
            self._now if sent.at is None else moment("at", sent.at, self._now),
            sent.value + 0.0,  # 0.0 and -0.0 are one value
            self._now,
        )

    def _labels(self, labels: Mapping[str, str | int | None]) -> str:
        key = (*labels.items(),)
        written = self._written.get(key)
        if written is None:
            written = self._written[key] = checked_labels({name: _label(value) for name, value in key})
        return written


def _label(value: str | int | None) -> str | None:
    """Ids are numbers in many a program."""
    return str(value) if isinstance(value, int) else value


def _decoded(index: int, item: Item) -> SampleIn | Rejection:
    found = decode(_one, index, item)
    if isinstance(found, Rejection) and (found.reason == OUT_OF_RANGE or _is_not_finite(found, item)):
        return Rejection(index, found.field or "value", NOT_FINITE)
    return found


def _is_not_finite(rejection: Rejection, item: Item) -> bool:
    """NaN and Infinity are no JSON, but Python's and other libraries write them."""
    if rejection.reason != NOT_JSON:
        return False
    try:
        found = json.loads(bytes(item))
    except (ValueError, RecursionError):
        return False
    value = found.get("value") if isinstance(found, dict) else None
    return isinstance(value, float) and not isfinite(value)
