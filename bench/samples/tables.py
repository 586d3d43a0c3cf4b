"""The figures as tables, each beside its target, with a `!` where it misses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table

from bench.history import Figures
from bench.samples.questions import QUESTIONS, Question
from bench.table import Row, Section, table
from clickhouse.rollups import SAMPLE_GRAINS

_LEGEND = """\
ms: p50 and p99 of the API over HTTP, one request after the other, all rows on one page; p50 of a statement on samples
alone, whose rows are the same. Rows read: by the API's plan, and by that statement; "fewer" is the second by the first.
A ! marks what misses its target."""


def tables(samples: int, engines: Mapping[str, Figures]) -> Iterator[Table]:
    """The questions, a table for each engine, and what the tables take."""
    for name, figures in engines.items():
        if f"ask.{QUESTIONS[0].name}.scan" in figures:
            yield _questions(f"{name}: {samples:,} samples of 20 series, every partition merged", figures)
    yield table(engines, (_STORAGE,))


def _questions(title: str, figures: Figures) -> Table:
    made = Table(title=title, caption=_LEGEND, box=box.SIMPLE, title_justify="left", caption_justify="left")
    made.add_column("")
    for head in ("p50", "p99", "≤", "raw", "rows", "raw", "fewer", "≥"):
        made.add_column(head, justify="right")
    for question in QUESTIONS:
        made.add_row(*_cells(question, figures))
    return made


def _cells(question: Question, figures: Figures) -> Iterator[str]:
    p50, p99, scan, rows, scan_rows = (
        figures[f"ask.{question.name}.{what}"] for what in ("p50", "p99", "scan", "rows", "scan_rows")
    )
    fewer = scan_rows / max(rows, 1)
    yield question.label
    yield _marked(f"{p50:.1f}", question.target is not None and p50 > question.target)
    yield f"{p99:.1f}"
    yield f"{question.target:g}" if question.target else ""
    yield f"{scan:,.0f}"
    yield f"{rows:,.0f}"
    yield f"{scan_rows:,.0f}"
    yield _marked(f"{fewer:,.0f}", question.fewer is not None and fewer < question.fewer)
    yield f"{question.fewer:g}" if question.fewer else ""


def _marked(text: str, missed: bool) -> str:
    return f"{text} !" if missed else f"{text}  "


_STORAGE = Section(
    "On disk, merged: rows, MB",
    (
        Row("bytes a sample in raw", "{:.2f}", ("storage.row",)),
        Row("rollups / raw", "{:.2f}", ("storage.ratio",)),
        *(
            Row(f"  {name}", "{:,.0f}, {:,.1f}", (f"storage.{name}.rows", f"storage.{name}.mb"))
            for name in ("raw", *(grain.name for grain in SAMPLE_GRAINS))
        ),
    ),
)
