"""What the service counts about itself, for Prometheus; the README's table of names is checked against this."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from math import nan
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)

from clickhouse.reconciliations import Standing
from clickhouse.rollups import ALL_GRAINS, EVENTS, SAMPLES
from workers.spool_status import SpoolStatus

_PREFIX = "readership"

# What a rejection may name; whatever else it names counts as `other`, for a label must not take a client's words.
SAMPLE_FIELDS = ("metric", "labels", "at", "value", "site")
EVENT_FIELDS = ("blog_id", "event_id", "viewed_at", "site", "author_id", "country", "viewer_id", "url", "referrer")
WHOLE, OTHER = "event", "other"


class Unavailability(StrEnum):
    """Why events are answered with 503."""

    SPOOL_FULL = "spool_full"
    TOO_OLD = "too_old"
    DISK_LOW = "disk_low"
    FSYNC_FAILED = "fsync_failed"
    STOPPING = "stopping"


class Endpoint(StrEnum):
    """The questions whose time is taken."""

    BLOG_VIEWS = "blog-views"
    TOP = "top"
    PERFORMANCE = "performance"
    SAMPLES = "samples"


class CacheResult(StrEnum):
    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"
    """The cache is off, Redis is away, or the question asked for its plan."""


# Seconds. An fsync takes 0.1-10 ms, an insert with all rollups 10-500 ms, an answer 1-100 ms; what waits out an outage
# becomes visible hours later.
_FSYNC = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
_INSERT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FENCE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10, 30)
_VISIBLE = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_QUERY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS = (1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000)


PASSED_OVER = ("stale", "exemplar", "histogram", "metadata")


class Taken(NamedTuple):
    """Rows of a dataset that clients sent."""

    accepted: Counter
    duplicate: Counter


class Metrics:
    """One for a service, with a registry of its own: several services live in one test process.

    Every series of a known label stands there from the start, so that a rate over it begins at 0.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        build = Info("build", "The version that runs.", namespace=_PREFIX, registry=self.registry)
        build.info({"version": version("readership")})

        self.taken = {
            "views": Taken(
                self._counter("events_accepted", "Events acknowledged with 202, without duplicates."),
                self._counter("events_duplicate", "Events known already by their event_id."),
            ),
            "samples": Taken(
                self._counter("samples_accepted", "Samples acknowledged, without duplicates known by then."),
                self._counter("samples_duplicate", "Samples known already by metric, labels, time and value."),
            ),
        }
        self.events_rejected = self._counter(
            "events_rejected", "Events refused, by the field that is wrong.", "field", (*EVENT_FIELDS, WHOLE, OTHER)
        )
        self.samples_rejected = self._counter(
            "samples_rejected", "Samples refused, by the field that is wrong.", "field", (*SAMPLE_FIELDS, WHOLE, OTHER)
        )
        self.samples_passed_over = self._counter(
            "samples_passed_over",
            "What remote write brought that is no sample: staleness markers, exemplars, native histograms, metadata.",
            "kind",
            PASSED_OVER,
        )
        self.acknowledged_undeduplicated = self._counter(
            "requests_acknowledged_undeduplicated",
            "Requests acknowledged while Redis was away, their ids not compared with those of other replicas.",
        )
        self.requests_unavailable = self._counter(
            "requests_unavailable", "Requests with events answered 503, by reason.", "reason", Unavailability
        )
        self.fsync_seconds = self._histogram("fsync_seconds", "Time of one fsync of the spool.", _FSYNC)

        self.insert_seconds = self._histogram(
            "insert_seconds", "Time of one insert into raw and every rollup, failed ones included.", _INSERT
        )
        self.fence_seconds = self._histogram(
            "fence_seconds",
            "Time that a batch waited for a rebuilt partition to be put in place.",
            _FENCE,
        )
        self.visible_seconds = self._histogram(
            "visible_seconds", "From the first acknowledgement in a batch until the batch is in every rollup.", _VISIBLE
        )
        self.batch_rows = self._histogram("batch_rows", "Events in one batch.", _ROWS)
        self.batches_retried = self._counter("batches_retried", "Further tries of batches whose insert failed.")
        self.batches_in_doubt = self._counter(
            "batches_in_doubt", "Batches found begun and not ended after an unclean stop."
        )
        self.partitions_repaired = self._counter(
            "partitions_repaired", "Partitions of rollups that differed from raw and were built again."
        )
        self.batches_dead_lettered = self._counter(
            "batches_dead_lettered", "Batches put aside because ClickHouse refuses their data."
        )

        self.query_seconds = self._histogram(
            "query_seconds", "Time of one analytics answer, cached ones included.", _QUERY, "endpoint", Endpoint
        )
        self.cache_requests = self._counter(
            "cache_requests", "Analytics answers, by what the cache did.", "result", CacheResult
        )

        self._reconciled = {
            name: self._gauge_by_table(name, help_)
            for name, help_ in (
                ("drift_views", "Views or samples that a rollup lacks or has too many, at the last reconcile."),
                ("drift_buckets", "Buckets of a rollup that differ from raw, at the last reconcile."),
                (
                    "drift_distinct_counts",
                    "Distinct counts (of samples: sums, extremes) that are wrong, at the last reconcile.",
                ),
                ("reconcile_timestamp_seconds", "When a table was last reconciled."),
            )
        }
        self._duplicates = {
            table: Gauge(name, help_, namespace=_PREFIX, registry=self.registry)
            for table, name, help_ in (
                (EVENTS, "raw_duplicate_events", "Events that raw holds twice, at the last reconcile."),
                (SAMPLES, "raw_corrected_samples", "Samples of raw that a later one corrects, at the last reconcile."),
            )
        }
        for gauge in self._duplicates.values():
            gauge.set(nan)

    def show_reconciled(self, standing: Mapping[str, Standing]) -> None:
        """How the tables stood at their last reconcile; of one that never was nothing is known."""
        for table, stood in standing.items():
            for name, value in (
                ("drift_views", stood.wrong_views),
                ("drift_buckets", stood.wrong_buckets),
                ("drift_distinct_counts", stood.wrong_distinct),
                ("reconcile_timestamp_seconds", stood.reconciled_at / 1000),
            ):
                self._reconciled[name].labels(table).set(value)
            if table in self._duplicates:
                self._duplicates[table].set(stood.duplicates)

    def count_rejected(self, fields: Iterable[str]) -> None:
        """One event each; '' is an item that is wrong as a whole."""
        _count_rejected(self.events_rejected, EVENT_FIELDS, fields)

    def count_rejected_samples(self, fields: Iterable[str]) -> None:
        """As `count_rejected`."""
        _count_rejected(self.samples_rejected, SAMPLE_FIELDS, fields)

    def count_passed_over(self, **kinds: int) -> None:
        """By those of PASSED_OVER."""
        for kind, found in kinds.items():
            self.samples_passed_over.labels(kind).inc(found)

    def watch_spool(self, spool: SpoolStatus, of: str = "", rows: str = "events") -> None:
        """Shows what a spool of such rows tells at each scrape; to be called once for each. `of` stands before the
        names."""
        one = rows.removesuffix("s")
        for name, told, help_ in (
            ("spool_bytes", lambda: spool.bytes, "Bytes of the spool on disk."),
            ("spool_limit_bytes", lambda: spool.limit_bytes, f"Bytes of the spool from which {rows} are refused."),
            (
                f"spool_waiting_{rows}",
                lambda: spool.waiting_events,
                f"{rows.capitalize()} on disk and not yet in ClickHouse.",
            ),
            ("spool_oldest_age_seconds", lambda: spool.oldest_age_seconds, f"Age of the oldest waiting {one}."),
            (
                "spool_limit_age_seconds",
                lambda: spool.limit_age_seconds,
                f"Age of the oldest waiting {one} from which {rows} are refused.",
            ),
            ("spool_disk_free_bytes", lambda: spool.free_bytes, "Free bytes of the disk that the spool is on."),
            (
                "spool_disk_min_free_bytes",
                lambda: spool.min_free_bytes,
                f"Free bytes of that disk below which {rows} are refused.",
            ),
        ):
            self._gauge(f"{of}{name}", told, help_)

    def watch_dead_letters(self, count: Callable[[], int]) -> None:
        """Shows how many there are at each scrape; to be called once."""
        self._gauge("dead_letters", count, "Batches put aside, which wait for `readership dead-letter`.")

    def _counter(self, name: str, help_: str, label: str = "", values: Iterable[str] = ()) -> Counter:
        labels = [label] if label else []
        counter = Counter(name, help_, labels, namespace=_PREFIX, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _histogram(
        self, name: str, help_: str, buckets: Sequence[float], label: str = "", values: Iterable[str] = ()
    ) -> Histogram:
        labels = [label] if label else []
        histogram = Histogram(name, help_, labels, namespace=_PREFIX, registry=self.registry, buckets=buckets)
        for value in values:
            histogram.labels(value)
        return histogram

    def _gauge_by_table(self, name: str, help_: str) -> Gauge:
        gauge = Gauge(name, help_, ["table"], namespace=_PREFIX, registry=self.registry)
        for grain in ALL_GRAINS:
            gauge.labels(grain.table).set(nan)
        return gauge

    def _gauge(self, name: str, told: Callable[[], float], help_: str) -> None:
        Gauge(name, help_, namespace=_PREFIX, registry=self.registry).set_function(lambda: _or_nan(told))


def _count_rejected(counter: Counter, known: Sequence[str], fields: Iterable[str]) -> None:
    for field, rows in Tally(fields).items():
        counter.labels(field if field in known else OTHER if field else WHOLE).inc(rows)


def _or_nan(told: Callable[[], float]) -> float:
    """A folder that cannot be read is one value that is not known, not a scrape that fails."""
    try:
        return told()
    except OSError:
        return nan
