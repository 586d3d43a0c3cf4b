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
    """Show what the tables hold: rows, size, first and last bucket, last write."""
    rows = asyncio.run(_rollups(url))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("table", "grain", "rows", "size", "first bucket", "last bucket", "last write", box=box.SIMPLE_HEAD)
    for column in table.columns[:4]:
        column.no_wrap = True
    for column in table.columns[2:4]:
        column.justify = "right"
    for row in rows:
        times = (_minute(row[name]) for name in ("first_bucket", "last_bucket", "last_write"))
        table.add_row(row["table"], row["grain"], f"{row['rows']:,}", decimal(row["bytes"]), *times)
    # A pipe has no width; where a terminal is too narrow, times fold.
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


_WIDTH = 120


def _minute(instant: str | None) -> str:
    return "-" if instant is None else instant[:16].replace("T", " ")


async def _rollups(url: str | None) -> list[dict[str, Any]]:
    async with open_client(url) as client:
        answer = await call(client, "GET", "/api/rollups")
        return list(answer["results"])
