"""`readership dead-letter …`: batches that ClickHouse refused."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from itertools import count
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from service.cli.client import Json, RefusedByService, Url, call, open_client

app = typer.Typer(help="List, retry or drop the batches that ClickHouse refused.", no_args_is_help=True)

_PATH = "/api/dead-letters"

Id = Annotated[str | None, typer.Argument(help="The letter's id, as `list` shows it.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every letter there is.")]


@dataclass(frozen=True)
class Outcome:
    """What became of one letter; `error` is None where it is gone."""

    id: str
    error: str | None


@app.command("list")
def list_(url: Url = None, as_json: Json = False) -> None:
    """Show the letters, oldest first."""
    letters = asyncio.run(_list(url))
    if as_json:
        typer.echo(json.dumps(letters))
    elif letters:
        _print(letters)
    else:
        typer.echo("no dead letters")


@app.command()
def retry(id: Id = None, every: All = False, url: Url = None, as_json: Json = False) -> None:
    """Send a batch again; exit status 1 when ClickHouse refuses it again."""
    _report(asyncio.run(_each(url, _chosen(id, every=every), "POST", "/retry")), "retried", as_json=as_json)


@app.command()
def drop(id: Id = None, every: All = False, url: Url = None, as_json: Json = False) -> None:
    """Give a batch up: its events will never be counted."""
    _report(asyncio.run(_each(url, _chosen(id, every=every), "DELETE", "")), "dropped", as_json=as_json)


def _chosen(id_: str | None, *, every: bool) -> str | None:
    """The id, or None for all."""
    if (id_ is None) != every:
        raise typer.BadParameter("give the id of one letter, or --all", param_hint="ID")
    return id_


async def _list(url: str | None) -> list[dict[str, Any]]:
    async with open_client(url) as client:
        return await _letters(client)


async def _letters(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = []
    for number in count(1):
        page = await call(client, "GET", _PATH, params={"page": number, "page_size": 1_000})
        letters += page["results"]
        if page["next"] is None:
            break
    return letters


async def _each(url: str | None, id_: str | None, method: str, path: str) -> list[Outcome]:
    """One after the other; those that fail do not keep the others from their turn."""
    async with open_client(url) as client:
        ids = [letter["id"] for letter in await _letters(client)] if id_ is None else [id_]
        return [await _outcome(client, method, one, path) for one in ids]


async def _outcome(client: httpx.AsyncClient, method: str, id_: str, path: str) -> Outcome:
    try:
        await call(client, method, f"{_PATH}/{quote(id_, safe='')}{path}")
    except RefusedByService as error:
        return Outcome(id_, str(error))
    return Outcome(id_, None)


def _report(outcomes: list[Outcome], done: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes]))
    for outcome in outcomes:
        if outcome.error is not None:
            typer.echo(f"readership: {outcome.error}", err=True)
        elif not as_json:
            typer.echo(f"{done} {outcome.id}")
    if not (outcomes or as_json):
        typer.echo("no dead letters")
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _print(letters: list[dict[str, Any]]) -> None:
    table = Table("id", "refused at", "events", "size", "sites", "reason", box=box.SIMPLE_HEAD)
    for column in table.columns[:4]:
        column.no_wrap = True
    for column in table.columns[2:4]:
        column.justify = "right"
    for letter in letters:
        rows = "-" if letter["rows"] is None else f"{letter['rows']:,}"
        sites = ", ".join(letter["sites"][:3]) + (", …" if len(letter["sites"]) > 3 else "")
        reason = letter["fault"] or letter["reason"]
        when = letter["refused_at"][:16].replace("T", " ")
        table.add_row(letter["id"], when, rows, decimal(letter["size_bytes"]), escape(sites), escape(reason))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
