"""`readership stats`."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import typer
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
    table = Table("table", "grain", "rows", "size", "first bucket", "last bucket", "last write")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for row in rows:
        times = (row["first_bucket"], row["last_bucket"], row["last_write"])
        table.add_row(row["table"], row["grain"], f"{row['rows']:,}", decimal(row["bytes"]), *(t or "-" for t in times))
    Console().print(table)


async def _rollups(url: str | None) -> list[dict[str, Any]]:
    async with open_client(url) as client:
        answer = await call(client, "GET", "/api/rollups")
        return list(answer["results"])
