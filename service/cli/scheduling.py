"""`readership schedule`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.parse import quote

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import Json, Url, WrongRequest, call, open_client
from service.cli.following import ended, refuse_undone

app = typer.Typer(help="Show what runs when, or run it now.", invoke_without_command=True)


@app.callback()
def schedule(context: typer.Context, url: Url = None, as_json: Json = False) -> None:
    """Show what runs when (UTC), when it ran last and how that ended, and when it runs next."""
    if context.invoked_subcommand is not None:
        return
    answer = asyncio.run(_schedule(url))
    if as_json:
        typer.echo(json.dumps(answer))
        return
    table = Table("name", "when", "what", "last run", "outcome", "next run", box=box.SIMPLE_HEAD)
    for column in (table.columns[0], *table.columns[3:]):
        column.no_wrap = True
    for row in answer["results"]:
        ran = _minute(row["last_run"]), row["outcome"] or "-"
        table.add_row(row["name"], row["when"], row["what"], *ran, _minute(row["next_run"]))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for row in answer["results"]:
        if row["error"]:
            typer.echo(f"{row['name']}: {escape(row['error'])}")
    if not answer["enabled"]:
        typer.echo("none of it begins by itself: READERSHIP_SCHEDULES is off")


@app.command()
def run(name: str, url: Url = None, as_json: Json = False) -> None:
    """Run one now: the last closed period, with what was missed before it."""
    job = asyncio.run(_run(url, name, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(job))
    else:
        period = " to ".join(str(job["parameters"][end]) for end in ("start", "end") if end in job["parameters"])
        typer.echo(f"{name} {job['status']}: {', '.join(filter(None, (job['id'], period)))}")
    refuse_undone(job)


async def _schedule(url: str | None) -> dict[str, Any]:
    async with open_client(url) as client:
        answer: dict[str, Any] = await call(client, "GET", "/api/schedule")
        return answer


async def _run(url: str | None, name: str, *, quiet: bool) -> dict[str, Any]:
    """Raises WrongRequest: there is none of this name."""
    async with open_client(url) as client:
        begun = await call(client, "POST", f"/api/schedule/{quote(name, safe='')}", also={404})
        if "id" not in begun:
            raise WrongRequest(begun["detail"])
        return await ended(client, begun["id"], quiet=quiet)


def _minute(instant: str | None) -> str:
    return "-" if instant is None else instant[:16].replace("T", " ")
