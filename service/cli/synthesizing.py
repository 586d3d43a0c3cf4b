"""`readership synth`: a made-up series as an OpenMetrics file, as blocks, into Readership, or into Prometheus."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clickhouse.instants import epoch_s
from service.analytics.moments import is_date, span
from service.cli.client import Json, RefusedByService, Url
from service.cli.loading import Loaded, load
from service.cli.progress import Rate
from service.cli.remote_writing import TOKEN_VARIABLE, Target, target, write_remotely
from service.cli.tsdb_blocks import find_promtool, make_blocks
from service.clock import now
from service.parameters import DEFAULT_SITE
from service.samples.labels import is_metric_name, parse_labels
from service.synth import durations, openmetrics
from service.synth.made import Made
from service.synth.shapes import Grid, Shape

# The first and the last second of years that four digits write.
_FIRST, _LAST = 0, 253_402_300_799

_INSTANT = "a date, UTC, or a timestamp with offset"
_UTC = ZoneInfo("UTC")

T = TypeVar("T")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is not a finite number")
    return number


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"{text!r} is not UTF-8") from error
    return text


def synth(
    metric_name: Annotated[str, typer.Option(help="Name of the metric.")],
    labels: Annotated[str, typer.Option(callback=_unicode, help='Labels: k=v,k2="v, with a comma".')] = "",
    start_epoch: Annotated[int | None, typer.Option(min=_FIRST, max=_LAST, help="First sample, epoch seconds.")] = None,
    end_epoch: Annotated[int | None, typer.Option(min=_FIRST, max=_LAST, help="End, excluded, epoch seconds.")] = None,
    start: Annotated[str | None, typer.Option(help=f"First sample: {_INSTANT}.")] = None,
    end: Annotated[str | None, typer.Option(help="A date, included, or a timestamp, excluded; default: now.")] = None,
    last: Annotated[str | None, typer.Option(help="In place of a start: so long before the end, such as 21d.")] = None,
    step_size: Annotated[str, typer.Option(help="Between samples: 30s, 5m, 1h, 1d; a bare number: minutes.")] = "5m",
    trend_coefficient: Annotated[float, typer.Option(callback=_finite, help="What an hour adds.")] = Shape.trend,
    flat_base: Annotated[float, typer.Option(callback=_finite, help="Where the trend starts.")] = Shape.base,
    noise_std: Annotated[
        float, typer.Option(min=0, callback=_finite, help="Standard deviation of the noise; 0: none.")
    ] = Shape.noise,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed makes the same noise.")] = Shape.seed,
    description: Annotated[
        str, typer.Option(callback=_unicode, help="HELP text of the metric.")
    ] = "Backfilled metric data",
    output_dir: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder of the file; made when missing. Default: this folder, and no file where it goes elsewhere.",
        ),
    ] = None,
    blocks: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder to make Prometheus's blocks in, by promtool.")
    ] = None,
    to_service: Annotated[bool, typer.Option("--load", help="Send it into Readership.")] = False,
    site: Annotated[str, typer.Option(callback=_unicode, help="With --load: the site.")] = DEFAULT_SITE,
    remote_write: Annotated[
        str | None,
        typer.Option(metavar="URL", help=f"Send it by Prometheus's remote write; a bearer token in {TOKEN_VARIABLE}."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make up a series: a trend, a day's ups and downs, noise.

    Written as METRIC_backfill_START.txt (OpenMetrics), made into blocks, loaded, pushed, or several of these.
    """
    if not is_metric_name(metric_name):
        raise typer.BadParameter(
            f"{metric_name!r} is no metric's name: letters, digits, _ and :, no digit first",
            param_hint="--metric-name",
        )
    found = _checked("--labels", parse_labels, labels)
    for given, kept in found.changed:
        typer.echo(f"warning: label {given!r} is written as {kept}", err=True)
    step = _checked("--step-size", durations.seconds, step_size)
    grid = Grid(*_range(start_epoch, end_epoch, start, end, last), step)
    if not len(grid):
        raise typer.BadParameter(f"no sample fits between start and end: they are less than {step} s apart")
    shape = Shape(trend_coefficient, flat_base, noise_std, seed)
    made = Made(metric_name, found.values, description, shape, grid)
    if output_dir is None and not (blocks or to_service or remote_write):
        output_dir = Path()
    goes = Goes(
        file=None if output_dir is None else output_dir / f"{metric_name}_backfill_{grid.start}.txt",
        blocks=None if blocks is None else (find_promtool(), blocks),
        remote=None if remote_write is None else _checked("--remote-write", target, remote_write),
        load=(site, url) if to_service else None,
    )
    done = _send(made, goes, quiet=as_json)
    if as_json:
        about = {"metric": metric_name, "labels": found.values, "samples": len(grid)}
        typer.echo(json.dumps({**about, "start": grid.start, "end": grid.end, "step": step, **done}))
    if done.get("load", {}).get("rejected"):
        raise RefusedByService("{rejected:,} samples were rejected, the first: {first_reason}".format(**done["load"]))


@dataclass(frozen=True)
class Goes:
    """Where a series goes: each of these that is not None."""

    file: Path | None
    blocks: tuple[str, Path] | None
    """By which promtool, and where to."""
    remote: Target | None
    load: tuple[str, str | None] | None
    """Site and service."""


def _send(made: Made, goes: Goes, *, quiet: bool) -> dict[str, Any]:
    """What became of it, for `--json`; without, each is told when it is done."""
    done: dict[str, Any] = {}
    what = f"{len(made):,} samples of {made.metric}"
    say: Callable[[str], None] = (lambda line: None) if quiet else typer.echo
    if goes.file is not None:
        with _moving(made, "file", quiet=quiet) as (moved, _):
            _write(goes.file, made, moved)
        done["file"] = str(goes.file)
        say(f"{what} in {_shown(goes.file)}")
    if goes.blocks is not None:
        promtool, folder = goes.blocks
        with _moving(made, "blocks", quiet=quiet) as (moved, _):
            done["blocks"] = make_blocks(promtool, made, folder, moved)
        say(f"{what} in {len(done['blocks'])} blocks in {_shown(folder)}")
    if goes.remote is not None:
        with _moving(made, "remote write", quiet=quiet) as (moved, waiting):
            asyncio.run(write_remotely(made, goes.remote, moved, waiting))
        done["remote_write"] = goes.remote.shown
        say(f"{what} to {goes.remote.shown}")
    if goes.load is not None:
        with _moving(made, "load", quiet=quiet) as (moved, _):
            loaded = asyncio.run(load(made, *goes.load, moved))
        done["load"] = asdict(loaded)
        say(_told(loaded, made, goes.load[0]))
    return done


def _shown(path: Path) -> str:
    """Its name may be bytes that no text is."""
    return os.fsencode(path).decode(errors="replace")


def _told(loaded: Loaded, made: Made, site: str) -> str:
    known = f", {loaded.duplicates:,} known already" if loaded.duplicates else ""
    return f"{loaded.accepted:,} samples of {made.metric} in site {site}{known}"


@contextmanager
def _moving(made: Made, what: str, *, quiet: bool) -> Iterator[tuple[Callable[[int], None], Callable[[str], None]]]:
    """A bar, and who it hears from: of samples that are done, and of why it has to wait."""
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet) as progress:
        task = progress.add_task(what, total=len(made))
        yield (
            lambda samples: progress.update(task, advance=samples),
            lambda why: console.print(f"{what}: tried again after {why}", markup=False, highlight=False),
        )


def _write(path: Path, made: Made, moved: Callable[[int], None]) -> None:
    """The file is there as a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(openmetrics.text(made, moved))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _range(
    start_epoch: int | None, end_epoch: int | None, start: str | None, end: str | None, last: str | None
) -> tuple[int, int]:
    """`[start, end)` in epoch seconds."""
    if end_epoch is not None and end is not None:
        raise typer.BadParameter("give --end-epoch or --end, not both")
    if sum(one is not None for one in (start_epoch, start, last)) != 1:
        raise typer.BadParameter("give one of --start-epoch, --start and --last")
    until = epoch_s(now()) if end_epoch is None else end_epoch
    if end is not None:
        # A day is meant as a whole, as everywhere.
        until = epoch_s(_span("--end", end)[1 if is_date(end) else 0])
    since = start_epoch or 0
    if start is not None:
        since = epoch_s(_span("--start", start)[0])
    elif last is not None:
        since = until - _checked("--last", durations.seconds, last)
    if not _FIRST <= since < until:
        raise typer.BadParameter(f"the start, {since}, has to lie between 1970 and the end, {until}")
    return since, until


def _span(option: str, text: str) -> tuple[datetime, datetime]:
    return _checked(option, lambda given: span(given, _UTC), text)


def _checked(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
