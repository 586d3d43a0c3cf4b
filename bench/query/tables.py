"""The figures as tables, each beside its target, with a `!` where it misses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table

from bench.history import Figures
from bench.query.questions import QUESTIONS, Question
from bench.table import Row, Section, table
from clickhouse.rollups import GRAINS

# Of the API's p50: so many times the best SQL and so many ms more; and so many times that on a tenth of the events.
_TIMES, _MORE = 1.5, 3.0
_GROWTH = 1.3

# Of a scan's rows, where the range is a year or more.
_FEWER = 200

_HEADS = ("p50", "p99", "≤", "by hand", "≤", "raw", "rows", "by hand", "raw", "fewer", "growth")

_LEGEND = f"""\
ms: p50 and p99 of the API over HTTP, one request after the other, no answer kept; p50 of the best single statement over
the rollups, and what that allows the API ({_TIMES} × + {_MORE:g}); p50 of a statement on view_events alone.
Rows read: by the API's plan (labels are looked up besides), by hand, and of view_events alone; "fewer" is the last by
the first, at least {_FEWER} for a year and more. Growth: p50 by the p50 on a tenth of the events, at most {_GROWTH}.
A ! marks what misses its target."""


def tables(events: int, engines: Mapping[str, Figures]) -> Iterator[Table]:
    """The questions, a table for each engine, and what the rollups take."""
    for name, figures in engines.items():
        if f"ask.{QUESTIONS[0].name}.scan" in figures:
            merged = "every partition merged, as a minute without inserts leaves it"
            yield _questions(f"{name}: {events:,} events, {merged}", figures)
    yield table(engines, _SECTIONS)


def _questions(title: str, figures: Figures) -> Table:
    made = Table(title=title, caption=_LEGEND, box=box.SIMPLE, title_justify="left", caption_justify="left")
    made.add_column("")
    for head in _HEADS:
        made.add_column(head, justify="right")
    for question in QUESTIONS:
        made.add_row(*_cells(question, figures))
    return made


def _cells(question: Question, figures: Figures) -> Iterator[str]:
    p50, p99, hand, scan, rows, hand_rows, scan_rows = (
        figures[f"ask.{question.name}.{what}"]
        for what in ("p50", "p99", "hand", "scan", "rows", "hand_rows", "scan_rows")
    )
    allowed, fewer = _TIMES * hand + _MORE, scan_rows / max(rows, 1)
    small = figures.get(f"ask.{question.name}.p50_tenth")
    yield question.label
    yield _marked(f"{p50:.1f}", question.target is not None and p50 > question.target)
    yield f"{p99:.1f}"
    yield f"{question.target:g}" if question.target else ""
    yield f"{hand:.1f}"
    yield _marked(f"{allowed:.1f}", p50 > allowed)
    yield f"{scan:,.0f}"
    yield f"{rows:,.0f}"
    yield f"{hand_rows:,.0f}"
    yield f"{scan_rows:,.0f}"
    yield _marked(f"{fewer:,.0f}", question.span.is_long and fewer < _FEWER)
    yield _marked(f"{p50 / small:.2f}", p50 > _GROWTH * small) if small else "–"


def _marked(text: str, missed: bool) -> str:
    return f"{text} !" if missed else f"{text}  "


def _inserts(name: str, label: str) -> Iterator[Row]:
    key = f"insert.{name}"
    yield Row(f"{label}, events/s", "{:,.0f}", (f"{key}.rollups",))
    yield Row("  into raw alone", "{:,.0f}", (f"{key}.alone",))
    yield Row("  ratio", "{:.2f}", (f"{key}.ratio",), "≥ 0.35")


_SECTIONS = (
    Section(
        "On disk, merged: rows, MB",
        (
            Row("bytes an event in raw", "{:.1f}", ("storage.row",), "≤ 25"),
            Row("rollups / raw", "{:.2f}", ("storage.ratio",), "≤ 0.6"),
            *(
                Row(f"  {name}", "{:,.0f}, {:,.1f}", (f"storage.{name}.rows", f"storage.{name}.mb"))
                for name in ("raw", *(grain.name for grain in GRAINS))
            ),
        ),
    ),
    Section("Blocks of 50,000", (*_inserts("native", "Native"), *_inserts("json", "JSONEachRow"))),
    Section(
        "Days in Asia/Kolkata / in UTC",
        (
            Row("3 years", "{:.2f}", ("kolkata.3y",), "≤ 3"),
            Row("1 year", "{:.2f}", ("kolkata.1y",), "≤ 3"),
        ),
    ),
)
