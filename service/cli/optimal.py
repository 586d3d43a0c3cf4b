"""`readership optimal`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from service.cli.client import Json, Url, WrongRequest, call, open_client


def optimal(
    start: Annotated[str | None, typer.Option(help="First day, or an exact timestamp with offset.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day (included), or an exact timestamp (excluded).")] = None,
    timezone: Annotated[str, typer.Option(help="IANA name of the zone that days are of.")] = "UTC",
    dataset: Annotated[str, typer.Option(help="views or samples.")] = "views",
    metric: Annotated[str | None, typer.Option(help="Of samples: rows are estimated where it is given.")] = None,
    group_by: Annotated[str | None, typer.Option(help="Of views: country, user or blog.")] = None,
    site: Annotated[str, typer.Option(help="The site that is asked about.")] = "default",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Show which tables would answer for a range, and how many rows they would read."""
    asked = {"start": start, "end": end, "timezone": timezone, "group_by": group_by, "site": site}
    asked |= {"dataset": dataset, "metric": metric}
    plan = asyncio.run(_plan(url, {name: value for name, value in asked.items() if value is not None}))
    if as_json:
        typer.echo(json.dumps(plan))
        return
    typer.echo(f"{plan['table']} ({plan['grain']}), about {plan['estimated_rows']:,} rows")
    table = Table("segment", "dimension set", "from", "to", "pieces", "rows", box=box.SIMPLE_HEAD)
    for column in table.columns[4:]:
        column.justify = "right"
    for segment in plan["segments"]:
        ends = (segment[name] or "-" for name in ("start", "end"))
        pieces, rows = str(segment["ranges"]), f"{segment['estimated_rows']:,}"
        table.add_row(segment["table"], segment["dimension_set"] or "-", *ends, pieces, rows)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


async def _plan(url: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    """Raises WrongRequest."""
    async with open_client(url) as client:
        found: dict[str, Any] = await call(client, "GET", "/api/rollups/optimal", params=asked, also={422})
        for error in found.get("errors", ()):
            raise WrongRequest(f"--{error['field'].replace('_', '-')}: {error['message']}")
        return found
