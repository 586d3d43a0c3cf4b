"""The figures as one table, each with what it means and, where there is one, its target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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


def _single(connections: int) -> Iterator[Row]:
    key = f"single.{connections}"
    yield Row(f"POSTs/s, {connections} connections", "{:,.0f}", (f"{key}.rate",))
    yield Row("  empty FastAPI route", "{:,.0f}", (f"{key}.empty",))
    yield Row("  ratio", "{:.2f}", (f"{key}.ratio",), "≥ 0.4")
    yield Row("  p50 / p99", "{:.1f} / {:.1f} ms", (f"{key}.p50", f"{key}.p99"))
    yield Row("  CPU µs: event loop / other threads", "{:.0f} / {:.0f}", (f"{key}.loop_us", f"{key}.rest_us"))
    yield Row("  CPU µs of the empty route", "{:.0f}", (f"{key}.empty_us",))


def _query(label: str, name: str) -> Row:
    return Row(label, "{:.1f} / {:.1f}", (f"query.{name}.p50", f"query.{name}.p99"), "p50 ≤ 25")


SECTIONS = (
    Section(
        "NDJSON of 5,000 events, 4 connections, until visible",
        (
            Row("events/s over HTTP", "{:,.0f}", ("batch.http",)),
            Row("  with client event_ids", "{:,.0f}", ("batch.http_ids",)),
            Row("direct INSERT, 1 connection", "{:,.0f}", ("batch.direct_1",)),
            Row("direct INSERT, 4 connections", "{:,.0f}", ("batch.direct_4",)),
            Row("ratio to the faster", "{:.2f}", ("batch.ratio",), "≥ 0.6"),
            Row("  with client event_ids", "{:.2f}", ("batch.ratio_ids",)),
            Row(
                "CPU µs an event: event loop / other threads",
                "{:.1f} / {:.1f}",
                ("batch.loop_us", "batch.rest_us"),
            ),
            Row("  direct, 1 / 4 connections", "{:.1f} / {:.1f}", ("batch.direct_1_us", "batch.direct_4_us")),
            Row("  load generator", "{:.1f}", ("batch.generator_us",)),
        ),
    ),
    Section("One event a request", (*_single(64), *_single(256), *_single(1024))),
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
            Row("after batches / singles", "{:.0f} / {:.0f} MB", ("rss.batches", "rss.singles")),
            Row("after loading the year", "{:.0f} MB", ("rss.year",)),
            Row("its private Valkey", "{:.0f} MB", ("rss.children",)),
        ),
    ),
)


def table(engines: Mapping[str, Figures], sections: Iterable[Section] = SECTIONS) -> Table:
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
