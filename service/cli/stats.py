"""`readership stats`."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from service.cli.client import Json, Url, WrongRequest, call, open_client
from service.clock import now


def stats(
    dataset: Annotated[str | None, typer.Option(help="views or samples. Default: both.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show what the tables hold: rows, size, compression, first and last bucket, age of the last write and rebuild.

    And lag, how far a table is behind what was acknowledged; and drift, views or samples missing or too many at the
    last reconcile; of raw, those that are there twice.
    """
    rows = asyncio.run(_rollups(url, dataset))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    # 129 columns with a billion rows.
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name in _LEFT else "right")
    for row in rows:
        ratio = "-" if row["compression"] is None else f"{row['compression']:.1f}"
        buckets = _minute(row["first_bucket"])[:10], _minute(row["last_bucket"])
        ages = (_age(row[name]) for name in ("last_write", "last_rebuild"))
        sizes = f"{row['rows']:,}", decimal(row["bytes"]), ratio
        table.add_row(row["table"], row["grain"], *sizes, *buckets, *ages, _seconds(row["lag_seconds"]), _drift(row))
    # A pipe has no width.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


_WIDTH = 132

_COLUMNS = (
    *("table", "grain", "rows", "size", "compression", "first", "last bucket"),
    *("written", "rebuilt", "lag", "drift"),
)
_LEFT = frozenset({"table", "grain", "first", "last bucket"})


def _minute(instant: str | None) -> str:
    return "-" if instant is None else instant[:16].replace("T", " ")


def _age(instant: str | None) -> str:
    """Of something that happened."""
    return "-" if instant is None else f"{_seconds((now() - datetime.fromisoformat(instant)).total_seconds())} ago"


def _seconds(number: float) -> str:
    """In the largest unit that has two of it."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if number >= 2 * seconds:
            return f"{number / seconds:.0f}{unit}"
    return f"{max(number, 0):.0f}s"


def _drift(row: dict[str, Any]) -> str:
    if row["last_reconcile"] is None:
        return "-"
    wrong = row["drift"] + (row["duplicates"] or 0)
    # A distinct count may be wrong where no view is, or a sum where no sample is.
    return f"{wrong:,}" + "!" * (not wrong and row["distinct_drift"] > 0)


async def _rollups(url: str | None, dataset: str | None) -> list[dict[str, Any]]:
    """Raises WrongRequest."""
    async with open_client(url) as client:
        asked = {} if dataset is None else {"dataset": dataset}
        answer = await call(client, "GET", "/api/rollups", params=asked, also={422})
        for error in answer.get("errors", ()):
            raise WrongRequest(f"--{error['field']}: {error['message']}")
        return list(answer["results"])
