"""`readership import`: a file's events to POST /api/events, in order, a batch a request."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from service.cli.client import Json, RefusedByService, Url, call, open_client
from service.events.parse import DEFAULT_SITE
from service.imports.batches import Batch, batches
from service.imports.events import FileFormat, read_events
from service.imports.tally import Tally

SHOWN = 5


def import_(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="Files; .gz too.")],
    format: Annotated[FileFormat, typer.Option(help="combined: a web server's log. ndjson: events, one a line.")],
    site: Annotated[str, typer.Option(help="The site the events belong to.")] = DEFAULT_SITE,
    match: Annotated[
        str | None,
        typer.Option(help="Logs: count only paths where this regular expression is found. Default: all but assets."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Import files of views; importing the same file again adds nothing.

    Of a web server's log the GET requests answered with 200 are kept, without crawlers and feed fetchers.
    """
    pattern = _pattern(match, format)
    report = asyncio.run(_import(files, format, site, pattern, url, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    else:
        _print(report)


@dataclass
class Report:
    """What became of the files' lines."""

    tally: Tally = field(default_factory=Tally)
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    first_rejected: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        samples = [{"line": one.line, "reason": one.reason, "text": one.text} for one in self.tally.samples]
        return {
            "lines": self.tally.lines,
            "events": self.tally.events,
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "first_rejected": self.first_rejected,
            "unparsable": self.tally.unparsable,
            "first_unparsable": samples,
            "skipped": dict(self.tally.skipped),
        }


def _pattern(match: str | None, format: FileFormat) -> re.Pattern[str] | None:
    if match is None:
        return None
    if format is not FileFormat.COMBINED:
        raise typer.BadParameter("only a web server's log has paths to match", param_hint="--match")
    try:
        return re.compile(match)
    except re.error as error:
        raise typer.BadParameter(f"is no regular expression: {error}", param_hint="--match") from error


async def _import(
    files: list[Path],
    format: FileFormat,
    site: str,
    match: re.Pattern[str] | None,
    url: str | None,
    *,
    quiet: bool,
) -> Report:
    report = Report()
    async with open_client(url) as client:
        with _progress(quiet=quiet) as progress:
            for path in files:
                task = progress.add_task(path.name, total=path.stat().st_size, events=0)
                before = report.tally.events
                for batch in batches(report.tally.counting(read_events(path, format, site, match))):
                    await _send(client, batch, report)
                    progress.update(task, completed=batch.offset, events=report.tally.events - before)
    return report


async def _send(client: httpx.AsyncClient, batch: Batch, report: Report) -> None:
    if not batch.events:
        return
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await call(client, "POST", "/api/events?wait=stored", content=batch.ndjson, headers=headers, also={422})
    if "accepted" not in answer:
        raise RefusedByService(answer["detail"])
    report.accepted += answer["accepted"]
    report.duplicates += answer["duplicates"]
    report.rejected += len(answer["rejected"])
    for rejection in answer["rejected"][: SHOWN - len(report.first_rejected)]:
        line = batch.numbers[rejection["index"]]
        report.first_rejected.append(f"line {line}: {rejection['field']} {rejection['reason']}")


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )


def _print(report: Report) -> None:
    tally = report.tally
    typer.echo(
        f"{tally.lines:,} lines, {tally.events:,} events:"
        f" {report.accepted:,} accepted, {report.duplicates:,} duplicates, {report.rejected:,} rejected"
    )
    skipped = {reason: count for reason, count in tally.skipped.items() if not reason.unparsable}
    if skipped:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(skipped.items(), key=lambda kv: -kv[1]))
        typer.echo(f"skipped: {counts}")
    if tally.unparsable:
        typer.echo(f"not parsed: {tally.unparsable:,} lines, the first ones:", err=True)
        for sample in tally.samples:
            typer.echo(f"  line {sample.line} ({sample.reason}): {sample.text}", err=True)
    for rejected in report.first_rejected:
        typer.echo(f"  rejected {rejected}", err=True)
