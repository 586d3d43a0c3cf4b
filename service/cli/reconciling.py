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

from clickhouse.rollups import DATASETS
from service.cli.client import Json, Url, WrongRequest, call, open_client
from service.cli.following import ended, refuse_undone

_PATH = "/api/reconciliations"

_RAW = frozenset(dataset.raw for dataset in DATASETS)

Rows = list[dict[str, Any]]


def reconcile(
    start: Annotated[str | None, typer.Option(help="First day, UTC. Default: the first there is.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, UTC, included. Default: today.")] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Rebuild what differs, and compare again; of corrected samples the last stays."),
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the service goes on.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Compare every rollup with raw, views and samples, and look for what raw holds twice; exit status 1 where they
    differ."""
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
        # A partition may be compared once more, under a longer name.
        compared = {step["name"].partition(" ")[0] for step in job["steps"] if step["status"] == "done"}
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
    for name in ("rows in raw", "in rollup", "drift", "other drift", "duplicates", "repaired"):
        table.add_column(name, justify="right")
    for dataset in DATASETS:
        of = [row for row in rows if row["dataset"] == dataset.name]
        months = [row for row in of if row["table"] == dataset.raw]
        if months:
            names = ("found", "distinct_drift", "duplicates", "repaired")
            told, misnumbered, twice, dropped = (sum(row[name] for row in months) for name in names)
            numbers = f"{told:,}", "", "", f"{misnumbered:,}", f"{twice:,}", f"{dropped:,}"
            table.add_row(dataset.raw, f"{len(months)} months", *numbers)
        for row in of:
            _add(table, row, raw=row["table"] == dataset.raw)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _add(table: Table, row: dict[str, Any], *, raw: bool) -> None:
    name, partition = row["table"], row["partition"]
    drifts = f"{row['drift']:,}", f"{row['distinct_drift']:,}"
    if not raw and (row["expected"] or row["found"] or not row["equal"]):
        # A decade's partition is named by its first three digits.
        shown = f"{partition}0s" if len(partition) == 3 else partition
        numbers = f"{row['expected']:,}", f"{row['found']:,}", *drifts, "", f"{row['repaired']:,}"
        table.add_row(name, shown, *numbers)
    elif raw and not row["equal"]:
        table.add_row("", partition, f"{row['found']:,}", "", "", drifts[1], f"{row['duplicates']:,}", "")


def _last_line(rows: Rows) -> str:
    repaired = sum(row["repaired"] for row in rows if row["table"] not in _RAW)
    dropped = sum(row["repaired"] for row in rows if row["table"] in _RAW)
    wrong = [row for row in rows if not row["equal"]]
    if wrong:
        told = [one for dataset in DATASETS for one in _told([row for row in wrong if row["dataset"] == dataset.name])]
        return f"not equal: {', '.join(told)} in {_many(len(wrong), 'partition')}"
    if not rows:
        return "equal: there is nothing to compare"
    done = [f"{_many(dropped, 'corrected sample')} dropped"] * bool(dropped)
    done += [f"{_many(repaired, 'bucket')} repaired"] * bool(repaired)
    return ", ".join(["equal", *done])


def _told(wrong: Rows) -> list[str]:
    """Of one dataset."""
    raw = [row for row in wrong if row["table"] in _RAW]
    rollups = [row for row in wrong if row["table"] not in _RAW]
    views = all(row["dataset"] == "views" for row in wrong)
    found = {
        "view" if views else "sample": sum(row["drift"] for row in rollups),
        "distinct count" if views else "sum or extreme": sum(row["distinct_drift"] for row in rollups),
        "blog number": sum(row["distinct_drift"] for row in raw),
    }
    told = [_many(number, what) for what, number in found.items() if number]
    twice = sum(row["duplicates"] for row in raw)
    examples = [example for row in raw for example in row["examples"]]
    what = f"{_many(twice, 'event')} twice" if views else _many(twice, "corrected sample")
    return [*told, f"{what} (such as {examples[0]})"] if twice else told


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {_PLURALS.get(what, f'{what}s')}"


_PLURALS = {"sum or extreme": "sums or extremes"}
