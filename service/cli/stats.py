"""`readership stats`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from service.cli.client import Json, Url, call, open_client


def stats(url: Url = None, as_json: Json = False) -> None:
    """Show what the tables hold: rows, size, first and last bucket, last write and rebuild, and their drift.

    Drift are views missing or too many at the last reconcile; of raw, events that are there twice.
    """
    rows = asyncio.run(_rollups(url))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    # 118 columns with a billion rows.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("table", "rows", "size", "first", "last bucket", "last write", "last rebuild"):
        table.add_column(name)
    table.add_column("drift", justify="right")
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[1:3]:
        column.justify = "right"
    for row in rows:
        times = (_minute(row[name]) for name in ("last_bucket", "last_write", "last_rebuild"))
        sizes = f"{row['rows']:,}", decimal(row["bytes"])
        table.add_row(row["table"], *sizes, _minute(row["first_bucket"])[:10], *times, _drift(row))
    # A pipe has no width.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


_WIDTH = 120


def _minute(instant: str | None) -> str:
    return "-" if instant is None else instant[:16].replace("T", " ")


def _drift(row: dict[str, Any]) -> str:
    if row["last_reconcile"] is None:
        return "-"
    wrong = row["drift"] + (row["duplicates"] or 0)
    # A distinct count may be wrong where no view is.
    return f"{wrong:,}" + "!" * (not wrong and row["distinct_drift"] > 0)


async def _rollups(url: str | None) -> list[dict[str, Any]]:
    async with open_client(url) as client:
        answer = await call(client, "GET", "/api/rollups")
        return list(answer["results"])
