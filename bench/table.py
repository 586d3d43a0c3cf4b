"""The figures as one table, each with what it means and, where there is one, its target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table

from bench.history import Figures


@dataclass(frozen=True)
class Row:
    """`shown` formats the figures that `keys` name."""

    label: str
    shown: str
    keys: tuple[str, ...]
    target: str = ""

    def cell(self, figures: Figures) -> str:
        """A dash for what was not measured."""
        known = [figures[key] for key in self.keys if key in figures]
        return self.shown.format(*known) if len(known) == len(self.keys) else "–"


@dataclass(frozen=True)
class Section:
    title: str
    rows: tuple[Row, ...]


def _query(label: str, name: str) -> Row:
    return Row(label, "{:.1f} / {:.1f}", (f"query.{name}.p50", f"query.{name}.p99"), "p50 ≤ 25")


_BATCHES = Section(
    "NDJSON of 5,000 events, 4 connections, until visible in every rollup",
    (
        Row("events/s over HTTP", "{:,.0f}", ("batch.http",)),
        Row("  with client event_ids", "{:,.0f}", ("given.http",)),
        Row("direct INSERT, 1 connection", "{:,.0f}", ("batch.direct_1",)),
        Row("direct INSERT, 4 connections", "{:,.0f}", ("batch.direct_4",)),
        Row("ratio to the faster", "{:.2f}", ("batch.ratio",), "≥ 0.85"),
        Row("  with client event_ids", "{:.2f}", ("given.ratio",)),
    ),
)

_SINGLES = Section(
    "One event a request, 64 connections",
    (
        Row("POSTs/s", "{:,.0f}", ("single.rate",)),
        Row("  empty FastAPI route", "{:,.0f}", ("single.empty",)),
        Row("  ratio", "{:.2f}", ("single.ratio",), "≥ 0.6"),
        Row("p50 / p99", "{:.1f} / {:.1f} ms", ("single.p50", "single.p99"), "p99 ≤ 60 ms"),
        Row("  empty FastAPI route", "{:.1f} / {:.1f} ms", ("single.empty_p50", "single.empty_p99")),
        Row("from the last answer until all are visible", "{:.2f} s", ("single.behind",)),
    ),
)

_ALONE = Section(
    "An event every second, at rest",
    (Row("from its 202 until visible: p50 / max", "{:.0f} / {:.0f} ms", ("alone.p50", "alone.max")),),
)

_CPU = tuple(
    Section(
        f"CPU, seconds per million events: {title}",
        (
            Row("the service's event loop", "{:.1f}", (f"{part}.loop_us",)),
            Row("  its other threads (embedded: with ClickHouse)", "{:.1f}", (f"{part}.rest_us",)),
            Row("ClickHouse server", "{:.1f}", (f"{part}.server_us",)),
            Row("Valkey", "{:.1f}", (f"{part}.valkey_us",)),
            *more,
        ),
    )
    for title, part, more in (
        (
            "batches",
            "batch",
            (
                Row("all of them, merges afterwards included", "{:.1f}", ("batch.settled_us",)),
                Row("direct INSERT, 1 / 4 connections", "{:.1f} / {:.1f}", ("batch.direct_1_us", "batch.direct_4_us")),
            ),
        ),
        (
            "batches with client event_ids",
            "given",
            (Row("all of them, merges afterwards included", "{:.1f}", ("given.settled_us",)),),
        ),
        (
            "one event a request",
            "single",
            (
                Row("event loop of the empty route", "{:.1f}", ("single.empty_us",)),
                Row("load generator, on the same cores", "{:.1f}", ("single.generator_us",)),
            ),
        ),
    )
)

_BYTES = tuple(
    Section(
        f"Bytes written an event, by pages made dirty: {title}",
        (
            Row("service (embedded: with ClickHouse)", "{:,.0f}", (f"{part}.service_bytes",)),
            Row("  the spool's record", "{:,.0f}", (f"{part}.spool_bytes",)),
            Row("ClickHouse server", "{:,.0f}", (f"{part}.server_bytes",)),
            Row("Valkey", "{:,.0f}", (f"{part}.valkey_bytes",)),
            Row("of them gone before they reached the disk", "{:,.0f}", (f"{part}.undone_bytes",)),
            Row("the whole disk, journal and strangers included", "{:,.0f}", (f"{part}.device_bytes",)),
        ),
    )
    for title, part in (
        ("batches", "batch"),
        ("batches with client event_ids", "given"),
        ("one event a request", "single"),
    )
)

INGESTION = (_BATCHES, _SINGLES, _ALONE, *_CPU, *_BYTES)

EVERYTHING = (
    _BATCHES,
    _SINGLES,
    _ALONE,
    Section(
        "A year of events: p50 / p99 in ms",
        (
            Row("loaded at, events/s", "{:,.0f}", ("year.load",)),
            _query("blog-views by country", "countries"),
            _query("blog-views by country, one month", "countries_month"),
            _query("top blogs", "top_blogs"),
            _query("performance by month", "months"),
            _query("performance by day", "days"),
        ),
    ),
    Section(
        "Start to ready, resident memory of the service",
        (
            Row("start, empty", "{:.2f} s", ("start.empty",), "≤ 3 s"),
            Row("start, a year of events", "{:.2f} s", ("start.year",), "≤ 3 s"),
            Row("idle, empty", "{:.0f} MB", ("rss.idle",), "≤ 450 MB"),
            Row("idle, a year of events", "{:.0f} MB", ("rss.idle_year",), "≤ 450 MB"),
            Row("after batches / singles", "{:.0f} / {:.0f} MB", ("rss.batch", "rss.singles")),
            Row("after loading the year", "{:.0f} MB", ("rss.year",)),
            Row("its private Valkey", "{:.0f} MB", ("rss.children",)),
        ),
    ),
)


def table(engines: Mapping[str, Figures], sections: Iterable[Section]) -> Table:
    """One column an engine."""
    made = Table(box=box.SIMPLE, pad_edge=False)
    made.add_column("")
    for name in engines:
        made.add_column(name, justify="right")
    made.add_column("target", justify="right")
    for section in sections:
        made.add_row(f"[bold]{section.title}")
        for row in section.rows:
            made.add_row(f"  {row.label}", *(row.cell(figures) for figures in engines.values()), row.target)
        made.add_section()
    return made
