"""`readership backfill`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from service.cli.client import Json, Url, WrongRequest, call, open_client
from service.cli.following import ended, refuse_undone

_PATH = "/api/backfills"

_OPTIONS = {
    "start": "--start-date",
    "end": "--end-date",
    "granularity": "--granularity",
    "dataset": "--dataset",
    "from": "--from",
    "clear": "--clear",
}


def backfill(
    granularity: Annotated[str, typer.Option(help="minute (of samples), hour, day, week, month, year or all.")] = "all",
    dataset: Annotated[str, typer.Option(help="views or samples.")] = "views",
    start_date: Annotated[str | None, typer.Option(help="First day, UTC. Default: that of the first event.")] = None,
    end_date: Annotated[str | None, typer.Option(help="Last day, UTC, included. Default: today.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="From scratch; refused where events have expired.")] = False,
    source: Annotated[str, typer.Option("--from", help="raw, or rollup: week, month and year from days.")] = "raw",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the service goes on.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make rollups again from raw, whole partitions at a time; readers see no gap meanwhile."""
    asked = {
        "dataset": dataset,
        "granularity": granularity,
        "start": start_date,
        "end": end_date,
        "clear": clear,
        "from": source,
        "dry_run": dry_run,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    follow(Run(given, _OPTIONS, quiet=as_json or no_wait), url, dry_run=dry_run, no_wait=no_wait, as_json=as_json)


def follow(run: Run, url: str | None, *, dry_run: bool, no_wait: bool, as_json: bool) -> None:
    """Prints the plan, or what became of it. Raises what `Run.ask` raises, NotDone."""
    try:
        answer = asyncio.run(run.ask(url, wait=not (no_wait or dry_run)))
    except KeyboardInterrupt:
        if run.status_url:  # else nobody knows whether it was begun, and the same request would join it
            typer.echo(
                f"the service goes on with it: see it with `curl {run.status_url}`,"
                f" cancel it with `curl -X DELETE {run.status_url}`",
                err=True,
            )
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(answer))
    elif dry_run:
        _print_plan(answer)
    elif no_wait:
        typer.echo(f"{answer['id']}: {run.status_url}")
    else:
        _print(answer)
    if "status" in answer:
        refuse_undone(answer)


class Run:
    """One backfill from its request to its end; `status_url` once it has begun."""

    def __init__(self, asked: dict[str, Any], options: Mapping[str, str], *, quiet: bool) -> None:
        """`options`: how a field of the request is called on the command line."""
        self.status_url = ""
        self._options = options
        self._asked = asked
        self._quiet = quiet

    async def ask(self, url: str | None, *, wait: bool) -> dict[str, Any]:
        """What the service answered to the request, or how the job ended. Raises WrongRequest."""
        async with open_client(url) as client:
            answer: dict[str, Any] = await call(client, "POST", _PATH, json=self._asked, also={422})
            if "errors" in answer:
                raise WrongRequest(self._line(answer))
            if "status_url" in answer:
                self.status_url = str(client.base_url.join(answer["status_url"]))
            return await ended(client, answer["id"], quiet=self._quiet) if wait else answer

    def _line(self, problem: dict[str, Any]) -> str:
        """The first fault, by the name of the option."""
        for error in problem["errors"]:
            return f"{self._options.get(error['field'], error['field'])}: {error['message']}"
        return str(problem["detail"])


def _print(job: dict[str, Any]) -> None:
    seconds = 0.0
    if job["started_at"] and job["finished_at"]:
        seconds = (
            datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
        ).total_seconds()
    made = [step["status"] for step in job["steps"] if step["task"] == "rebuild"]
    done = made.count("done")
    rate = f", {job['rows_per_second']:,.0f}/s" if job["rows_per_second"] else ""
    typer.echo(
        f"{job['status']} in {seconds:,.1f} s: {done} of {len(made)} partitions, {job['rows_done']:,} rows read{rate}"
    )


def _print_plan(plan: dict[str, Any]) -> None:
    table = Table("granularity", "table", "partition", "from", "first bucket", "last bucket", box=box.SIMPLE_HEAD)
    for name in ("buckets", "rows"):
        table.add_column(name, justify="right")
    for one in plan["partitions"]:
        ends = one["first_bucket"], one["last_bucket"]
        numbers = f"{one['buckets']:,}", f"{one['rows']:,}"
        table.add_row(one["granularity"], one["table"], one["partition"], one["source"], *ends, *numbers)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    typer.echo(f"{len(plan['partitions'])} partitions would be made again from about {plan['rows']:,} rows")
    if plan["reattributed"]:
        typer.echo(f"{plan['reattributed']:,} events would go to the author their blog is registered with")
