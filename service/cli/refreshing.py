"""`readership refresh`: a level of a dataset made again, after those it is made from."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.backfilling import Run, follow
from service.cli.client import Json, Url, WrongRequest

_LEVELS = {"1m": "minute", "1h": "hour", "1d": "day", "1w": "week", "1mo": "month", "1y": "year"}

_OPTIONS = {"start": "--start", "end": "--end", "granularity": "LEVEL", "dataset": "--dataset"}


def refresh(
    level: Annotated[str, typer.Argument(help=f"{', '.join(_LEVELS)}, or minute, hour, day, week, month, year.")],
    start: Annotated[str | None, typer.Option(help="First day, UTC. Default: that of the first row.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, UTC, included. Default: today.")] = None,
    dataset: Annotated[str, typer.Option(help="samples or views.")] = "samples",
    execute: Annotated[bool, typer.Option("--execute", help="Do it; without, only show what would be done.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once; the service goes on.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make a level again from raw, and before it those it is made from: for days hours, for weeks both.

    Whole partitions are made again; what differs nowhere is the same afterwards.
    """
    if level not in (*_LEVELS, *_LEVELS.values()):
        raise WrongRequest(f"LEVEL: must be {', '.join(_LEVELS)}, or {', '.join(_LEVELS.values())}, not {level!r}")
    asked = {"dataset": dataset, "granularity": _LEVELS.get(level, level), "with_sources": True}
    asked |= {name: value for name, value in (("start", start), ("end", end)) if value is not None}
    run = Run({**asked, "dry_run": not execute}, _OPTIONS, quiet=as_json or no_wait)
    follow(run, url, dry_run=not execute, no_wait=no_wait, as_json=as_json)
    if not (execute or as_json):
        typer.echo("nothing was done; --execute does it")
