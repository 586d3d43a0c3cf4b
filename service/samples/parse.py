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
from service.problems import TooLarge
from service.samples.arrivals import Arrivals
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
    """One for a request, received `now` (epoch ms), whose samples belong to `site` where they do not say.

    Samples that have no time get one of `arrivals`; with `once` a series gets one alone, as a scrape has each once.
    """

    def __init__(self, now: int, site: str, arrivals: Arrivals, limit: int, *, once: bool = False) -> None:
        """`limit`: bytes of metrics and labels, counted with every sample: in remote write a series says them once for
        all of its samples, but each is kept with them."""
        self._now = now
        self._site = site
        self._arrivals = arrivals
        self._limit = limit
        self._left = limit
        self._once = once
        self._given: dict[tuple[str, str, str], int] = {}
        # A request brings many samples of few series.
        self._written: dict[tuple[tuple[str, str | int | None], ...], tuple[str, int] | Wrong] = {}

    def parse(self, items: Iterable[Item], first_index: int = 0) -> Parsed:
        """Decodes, validates and normalises; what is wrong with one item never costs another. Raises TooLarge."""
        return self.take((index, _decoded(index, item)) for index, item in enumerate(items, first_index))

    def take(self, found: Iterable[tuple[int, SampleIn | Rejection]]) -> Parsed:
        """The same for what is read already, by its index in the request. Raises TooLarge."""
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
        site = self._site if sent.site is None else text("site", sent.site, MAX_SITE)
        metric = checked_metric(sent.metric)
        labels, size = self._labels(sent.labels) if sent.labels else ("{}", 2)
        self._left -= len(metric) + size
        if self._left < 0:
            raise TooLarge(f"the samples, each with its metric and labels, are larger than {self._limit} bytes")
        at = self._arrival(site, metric, labels) if sent.at is None else moment("at", sent.at, self._now)
        value = sent.value + 0.0  # 0.0 and -0.0 are one value
        return Sample(site, metric, labels, at, value, self._now)

    def _arrival(self, site: str, metric: str, labels: str) -> int:
        if not self._once:
            return self._arrivals.at(site, metric, labels, self._now)
        series = site, metric, labels
        found = self._given.get(series)
        if found is None:
            found = self._given[series] = self._arrivals.at(*series, self._now)
        return found

    def _labels(self, labels: Mapping[str, str | int | None]) -> tuple[str, int]:
        """As they are kept, and their bytes. Raises Wrong."""
        key = (*labels.items(),)
        written = self._written.get(key)
        if written is None:
            written = self._written[key] = _written({name: _label(value) for name, value in key})
        if isinstance(written, Wrong):
            raise Wrong(written.field, written.reason)
        return written


def _written(labels: Mapping[str, str | None]) -> tuple[str, int] | Wrong:
    try:
        found = checked_labels(labels)
    except Wrong as wrong:
        return wrong
    return found, len(found.encode())


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
