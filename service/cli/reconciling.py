"""`readership reconcile`."""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from typing import Annotated, Any

import httpx
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from service.cli.client import Json, Url, WrongRequest, call, open_client
from service.cli.following import ended, refuse_undone

_PATH = "/api/reconciliations"
_RAW = "view_events"

Rows = list[dict[str, Any]]


def reconcile(
    start: Annotated[str | None, typer.Option(help="First day, UTC. Default: that of the first event.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, UTC, included. Default: today.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild what differs, and compare again.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the service goes on.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Compare every rollup with the raw events, views and distinct blogs; exit status 1 where they differ."""
    given = {"start": start, "end": end, "repair": repair}
    asked = {name: value for name, value in given.items() if value is not None}
    if no_wait:
        begun = asyncio.run(_begin(url, asked))
        typer.echo(json.dumps(begun) if as_json else f"{begun['id']}: {begun['status_url']}")
        return
    job, rows = asyncio.run(_reconciled(url, asked, quiet=as_json))
    equal = all(row["equal"] for row in rows)
    if as_json:
        typer.echo(json.dumps({"id": job["id"], "status": job["status"], "equal": equal, "results": rows}))
    else:
        if rows:
            _print(rows)
        typer.echo(_last_line(rows))
    refuse_undone(job)
    if not equal:
        raise typer.Exit(1)


async def _begin(url: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    async with open_client(url) as client:
        return await _begun(client, asked)


async def _reconciled(url: str | None, asked: dict[str, Any], *, quiet: bool) -> tuple[dict[str, Any], Rows]:
    """The job when it has ended, and how the partitions it is about stand."""
    async with open_client(url) as client:
        job = await ended(client, (await _begun(client, asked))["id"], quiet=quiet)
        compared = {step["name"] for step in job["steps"] if step["status"] == "done"}
        return job, [row for row in await _latest(client) if f"{row['table']}[{row['partition']}]" in compared]


async def _begun(client: httpx.AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await call(client, "POST", _PATH, json=asked, also={422})
    for error in answer.get("errors", ()):
        raise WrongRequest(f"--{error['field']}: {error['message']}")
    return answer


async def _latest(client: httpx.AsyncClient) -> Rows:
    rows: Rows = []
    for number in count(1):
        page = await call(client, "GET", _PATH, params={"page": number, "page_size": 1_000})
        rows += page["results"]
        if page["next"] is None:
            break
    return rows


def _print(rows: Rows) -> None:
    """Of raw the sum of its months, and those where something is wrong."""
    table = Table("rollup", "partition", box=box.SIMPLE_HEAD)
    for name in ("views in raw", "views in rollup", "drift", "distinct drift", "duplicates", "repaired"):
        table.add_column(name, justify="right")
    months = [row for row in rows if row["table"] == _RAW]
    if months:
        events, twice, misnumbered = (
            sum(row[name] for row in months) for name in ("found", "duplicates", "distinct_drift")
        )
        table.add_row(_RAW, f"{len(months)} months", f"{events:,}", "", "", f"{misnumbered:,}", f"{twice:,}", "")
    for row in rows:
        name, partition = row["table"], row["partition"]
        drifts = f"{row['drift']:,}", f"{row['distinct_drift']:,}"
        if name != _RAW and (row["expected"] or row["found"] or not row["equal"]):
            # A decade's partition is named by its first three digits.
            shown = f"{partition}0s" if len(partition) == 3 else partition
            numbers = f"{row['expected']:,}", f"{row['found']:,}", *drifts, "", f"{row['repaired']:,}"
            table.add_row(name, shown, *numbers)
        elif name == _RAW and not row["equal"]:
            table.add_row("", partition, f"{row['found']:,}", "", "", drifts[1], f"{row['duplicates']:,}", "")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _last_line(rows: Rows) -> str:
    repaired = sum(row["repaired"] for row in rows)
    wrong = [row for row in rows if not row["equal"]]
    if wrong:
        return f"not equal: {', '.join(_told(wrong))} in {_many(len(wrong), 'partition')}"
    if not rows:
        return "equal: there is nothing to compare"
    return f"equal, {_many(repaired, 'bucket')} repaired" if repaired else "equal"


def _told(wrong: Rows) -> list[str]:
    raw = [row for row in wrong if row["table"] == _RAW]
    rollups = [row for row in wrong if row["table"] != _RAW]
    twice = sum(row["duplicates"] for row in raw)
    found = {
        "view": sum(row["drift"] for row in rollups),
        "distinct count": sum(row["distinct_drift"] for row in rollups),
        "blog number": sum(row["distinct_drift"] for row in raw),
    }
    told = [_many(number, what) for what, number in found.items() if number]
    examples = [example for row in raw for example in row["examples"]]
    return [*told, f"{_many(twice, 'event')} twice (such as {examples[0]})"] if twice else told


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
