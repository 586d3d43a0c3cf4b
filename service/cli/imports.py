"""`readership import --list` and `--undo ID`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from itertools import count
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import RefusedByService, WrongRequest, call, open_client

_PATH = "/api/imports"

# Seconds between two looks at a job.
_POLL = 0.3


def show(url: str | None, *, as_json: bool) -> None:
    """All imports, newest first."""
    found = asyncio.run(_list(url))
    if as_json:
        typer.echo(json.dumps(found))
    elif found:
        _print(found)
    else:
        typer.echo("no imports")


def undo(id_: int, url: str | None, *, yes: bool, as_json: bool) -> None:
    """Returns when it is undone; asks first on a terminal."""
    entry = asyncio.run(_undo(id_, url, ask=not yes and not as_json and sys.stdin.isatty(), quiet=as_json))
    if as_json:
        typer.echo(json.dumps(entry))
    else:
        typer.echo(f"import {id_} ({entry['file_name']}) is undone; the file can be imported again")


async def _list(url: str | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with open_client(url) as client:
        for number in count(1):
            page = await call(client, "GET", _PATH, params={"page": number, "page_size": 1_000})
            found += page["results"]
            if page["next"] is None:
                break
    return found


async def _undo(id_: int, url: str | None, *, ask: bool, quiet: bool) -> dict[str, Any]:
    """Raises WrongRequest: there is no such import; RefusedByService: its deletion failed."""
    async with open_client(url) as client:
        entry: dict[str, Any] = await call(client, "GET", f"{_PATH}/{id_}", also={404})
        if "id" not in entry:
            raise WrongRequest(entry["detail"])
        if ask:
            what = f"{entry['accepted']:,} events of {entry['file_name']} (site {entry['site']})"
            typer.confirm(f"Delete {what} that import {id_} brought?", abort=True)
        console, began = Console(stderr=True, quiet=quiet), time.monotonic()
        with console.status("deleting") as status:
            entry = await call(client, "DELETE", f"{_PATH}/{id_}")
            while entry["status"] != "undone":
                if entry["error"]:
                    raise RefusedByService(entry["error"])
                status.update(f"deleting, {time.monotonic() - began:.0f} s")
                await asyncio.sleep(_POLL)
                entry = await call(client, "GET", f"{_PATH}/{id_}")
    return entry


def _print(found: list[dict[str, Any]]) -> None:
    table = Table(*("id", "file", "accepted", "duplicates", "rejected", "status", "begun"), box=box.SIMPLE_HEAD)
    for column in (table.columns[0], *table.columns[2:]):
        column.no_wrap = True
    for column in table.columns[2:5]:
        column.justify = "right"
    table.columns[1].overflow = "fold"
    for one in found:
        numbers = (f"{one[name]:,}" for name in ("accepted", "duplicates", "rejected"))
        status = one["status"]
        if status in ("running", "failed") and one["size"]:
            status += f" {100 * one['offset'] // one['size']} %"
        # Below each other: beside, a terminal of 80 columns has room for neither.
        file = f"{escape(one['file_name'])}\n[dim]{escape(one['site'])}[/dim]"
        table.add_row(str(one["id"]), file, *numbers, status, one["begun_at"][:10])
    Console(width=None if sys.stdout.isatty() else 120).print(table)
