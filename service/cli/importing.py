"""`readership import`: files of views, each of their events once, whatever is killed on the way."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from service.cli import imports
from service.cli.client import Json, Url, open_client
from service.cli.progress import EventRate
from service.cli.sending import Imported, send_file
from service.imports.cells import FIELDS
from service.imports.events import FileFormat, Reading, fingerprint, guess_format
from service.imports.reasons import Reason
from service.imports.tally import Sample
from service.parameters import DEFAULT_SITE


def import_(
    files: Annotated[
        list[Path] | None, typer.Argument(exists=True, dir_okay=False, readable=True, help="Files; .gz too.")
    ] = None,
    format: Annotated[
        FileFormat | None,
        typer.Option(help="combined: a web server's log. ndjson: events, one a line. Default: by the extension."),
    ] = None,
    site: Annotated[str, typer.Option(help="The site the events belong to.")] = DEFAULT_SITE,
    match: Annotated[
        str | None,
        typer.Option(help="Logs: count only paths where this regular expression is found. Default: all but assets."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Tables: columns with other names than the event's fields, as event_id=uuid,viewed_at=ts."),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="CSV: what stands between two cells. Default: a comma, in .tsv a tab.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the files imported so far.")] = False,
    undo: Annotated[int | None, typer.Option(help="Take back what this import brought.", min=1)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Undo without asking.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Import files of views; importing the same file again adds nothing, and a killed import continues where it was.

    Of a web server's log the GET requests answered with 200 are kept, without crawlers and feed fetchers. Of a CSV or
    Parquet file the columns named like an event's fields are; a time without a zone is UTC, a number milliseconds.
    """
    if listing + (undo is not None) + bool(files) != 1:
        raise typer.BadParameter("give files, or --list, or --undo ID", param_hint="FILES")
    if listing:
        imports.show(url, as_json=as_json)
    elif undo is not None:
        imports.undo(undo, url, yes=yes, as_json=as_json)
    else:
        readings = [(path, _reading(path, format, site, match, columns, delimiter)) for path in files or ()]
        _run(readings, url, as_json=as_json)


@dataclass
class Report:
    """What became of the files' lines."""

    files: list[Imported] = field(default_factory=list)

    def total(self, name: str) -> int:
        """Of what was imported before, all is a duplicate."""
        found = 0
        for one in self.files:
            if one.known and name in ("accepted", "duplicates"):
                found += 0 if name == "accepted" else one.entry["accepted"] + one.entry["duplicates"]
            else:
                found += one.entry[name]
        return found

    @property
    def skipped(self) -> Counter[Reason]:
        counts = Counter[Reason]()
        for one in self.files:
            counts.update({Reason(reason): count for reason, count in one.entry["skipped"].items()})
        return counts

    @property
    def unparsable(self) -> int:
        return sum(count for reason, count in self.skipped.items() if reason.unparsable)

    @property
    def samples(self) -> list[Sample]:
        return [sample for one in self.files for sample in one.tally.samples]

    @property
    def first_rejected(self) -> list[str]:
        return [line for one in self.files for line in one.first_rejected]

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: self.total(name) for name in ("lines", "events", "accepted", "duplicates", "rejected")},
            "first_rejected": self.first_rejected,
            "unparsable": self.unparsable,
            "first_unparsable": [{"line": one.line, "reason": one.reason, "text": one.text} for one in self.samples],
            "skipped": dict(self.skipped),
            "imports": [{"id": one.entry["id"], "file": str(one.path), "known": one.known} for one in self.files],
        }


def _reading(
    path: Path, format: FileFormat | None, site: str, match: str | None, columns: str | None, delimiter: str | None
) -> Reading:
    form = format or guess_format(path)
    if form is None:
        raise typer.BadParameter(
            f"the extension of {path.name} does not tell; one of {', '.join(FileFormat)}", param_hint="--format"
        )
    return Reading(form, site, _pattern(match, form), _columns(columns, form), _delimiter(delimiter, form))


def _pattern(match: str | None, form: FileFormat) -> re.Pattern[str] | None:
    if match is None:
        return None
    if form is not FileFormat.COMBINED:
        raise typer.BadParameter("only a web server's log has paths to match", param_hint="--match")
    try:
        return re.compile(match)
    except re.error as error:
        raise typer.BadParameter(f"is no regular expression: {error}", param_hint="--match") from error


def _columns(given: str | None, form: FileFormat) -> dict[str, str]:
    if given is None:
        return {}
    if form not in (FileFormat.CSV, FileFormat.PARQUET):
        raise typer.BadParameter("only CSV and Parquet have columns", param_hint="--columns")
    found: dict[str, str] = {}
    for pair in given.split(","):
        name, mark, column = pair.partition("=")
        if not (mark and column) or name.strip() not in FIELDS:
            raise typer.BadParameter(
                f"{pair!r} is not FIELD=COLUMN with a FIELD of {', '.join(FIELDS)}", param_hint="--columns"
            )
        found[name.strip()] = column.strip()
    return found


def _delimiter(given: str | None, form: FileFormat) -> str | None:
    if given is None:
        return None
    mark = "\t" if given == "\\t" else given
    if form is not FileFormat.CSV:
        raise typer.BadParameter("only CSV has one", param_hint="--delimiter")
    if len(mark) != 1 or not mark.isascii() or mark in '"\r\n':
        raise typer.BadParameter("must be one ASCII character, or \\t", param_hint="--delimiter")
    return mark


def _run(readings: list[tuple[Path, Reading]], url: str | None, *, as_json: bool) -> None:
    report = Report()
    begun: list[int] = []
    try:
        asyncio.run(_import(readings, url, report, begun, quiet=as_json))
    except KeyboardInterrupt:
        which = f" import {begun[-1]}" if begun else ""
        typer.echo(f"readership: stopped; the same command continues{which}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    else:
        _print(report)


async def _import(
    readings: list[tuple[Path, Reading]], url: str | None, report: Report, begun: list[int], *, quiet: bool
) -> None:
    async with open_client(url) as client:
        with _progress(quiet=quiet) as progress:
            for path, reading in readings:
                task = progress.add_task(path.name, total=None, start=False, events=0, began=0)
                found = await asyncio.to_thread(fingerprint, path)

                def start(entry: dict[str, Any], task: TaskID = task, size: int = found.size) -> None:
                    begun.append(entry["id"])
                    position = {"completed": entry["offset"], "events": entry["events"], "began": entry["events"]}
                    progress.update(task, total=size, **position)
                    progress.start_task(task)
                    if entry["position"]:
                        progress.console.print(
                            f"import {entry['id']} of {entry['file_name']} continues after {entry['position']:,} lines"
                        )

                def moved(offset: int, events: int, task: TaskID = task) -> None:
                    progress.update(task, completed=offset, events=events)

                report.files.append(await send_file(client, path, reading, found, moved, start))
                with suppress(KeyError):
                    progress.update(task, total=found.size, completed=found.size)


def _progress(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        EventRate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )


def _print(report: Report) -> None:
    count = {name: f"{report.total(name):,}" for name in ("lines", "events", "accepted", "duplicates", "rejected")}
    typer.echo(
        f"{count['lines']} lines, {count['events']} events:"
        f" {count['accepted']} accepted, {count['duplicates']} duplicates, {count['rejected']} rejected"
    )
    skipped = {reason: number for reason, number in report.skipped.items() if not reason.unparsable}
    if skipped:
        counts = ", ".join(f"{reason} {number:,}" for reason, number in sorted(skipped.items(), key=lambda kv: -kv[1]))
        typer.echo(f"skipped: {counts}")
    for one in report.files:
        if one.known:
            when = one.entry["updated_at"][:16].replace("T", " ")
            typer.echo(
                f"{one.path.name} was imported before (import {one.entry['id']}, {when});"
                f" `readership import --undo {one.entry['id']}` takes it back",
                err=True,
            )
    if report.unparsable:
        typer.echo(f"not parsed: {report.unparsable:,} lines{', the first ones:' if report.samples else ''}", err=True)
        for sample in report.samples:
            typer.echo(f"  line {sample.line} ({sample.reason}): {sample.text}", err=True)
    for rejected in report.first_rejected:
        typer.echo(f"  rejected {rejected}", err=True)
