"""`readership synth`: a made-up series as an OpenMetrics file."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clickhouse.instants import epoch_s
from service.analytics.moments import is_date, span
from service.cli.client import Json
from service.cli.progress import Rate
from service.clock import now
from service.synth import durations, openmetrics
from service.synth.labels import Labels, is_metric_name, parse_labels
from service.synth.shapes import Grid, Shape

# The first and the last second of years that four digits write.
_FIRST, _LAST = 0, 253_402_300_799

_INSTANT = "a date, UTC, or a timestamp with offset"
_UTC = ZoneInfo("UTC")

T = TypeVar("T")


def synth(
    metric_name: Annotated[str, typer.Option(help="Name of the metric.")],
    labels: Annotated[str, typer.Option(help='Labels: k=v,k2="v, with a comma".')] = "",
    start_epoch: Annotated[int | None, typer.Option(min=_FIRST, max=_LAST, help="First sample, epoch seconds.")] = None,
    end_epoch: Annotated[int | None, typer.Option(min=_FIRST, max=_LAST, help="End, excluded, epoch seconds.")] = None,
    start: Annotated[str | None, typer.Option(help=f"First sample: {_INSTANT}.")] = None,
    end: Annotated[str | None, typer.Option(help="A date, included, or a timestamp, excluded; default: now.")] = None,
    last: Annotated[str | None, typer.Option(help="In place of a start: so long before the end, such as 21d.")] = None,
    step_size: Annotated[str, typer.Option(help="Between samples: 30s, 5m, 1h, 1d; a bare number: minutes.")] = "5m",
    trend_coefficient: Annotated[float, typer.Option(help="What an hour adds.")] = Shape.trend,
    flat_base: Annotated[float, typer.Option(help="Where the trend starts.")] = Shape.base,
    noise_std: Annotated[float, typer.Option(min=0, help="Standard deviation of the noise; 0: none.")] = Shape.noise,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed makes the same noise.")] = Shape.seed,
    description: Annotated[str, typer.Option(help="HELP text of the metric.")] = "Backfilled metric data",
    output_dir: Annotated[Path, typer.Option(file_okay=False, help="Folder of the file; made when missing.")] = Path(),
    as_json: Json = False,
) -> None:
    """Make up a series: a trend, a day's ups and downs, noise; written as METRIC_backfill_START.txt (OpenMetrics)."""
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
    path = output_dir / f"{metric_name}_backfill_{grid.start}.txt"
    output_dir.mkdir(parents=True, exist_ok=True)
    _write(path, metric_name, description, found, shape, grid, quiet=as_json)
    if as_json:
        about = {"file": str(path), "metric": metric_name, "labels": found.values, "samples": len(grid)}
        typer.echo(json.dumps({**about, "start": grid.start, "end": grid.end, "step": step}))
    else:
        typer.echo(f"{len(grid):,} samples of {metric_name} in {path}")


def _write(path: Path, metric: str, description: str, labels: Labels, shape: Shape, grid: Grid, *, quiet: bool) -> None:
    """The file is there as a whole, or not at all."""
    # It loads numpy, which takes 0.1 s and 25 MB; the service and the other commands do without.
    from service.synth.series import samples

    draft = path.with_name(f"{path.name}.draft")
    columns = TextColumn(metric), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    progress = Progress(*columns, console=Console(stderr=True), disable=quiet)
    try:
        with progress, draft.open("w", encoding="utf-8", newline="\n") as file:
            task = progress.add_task(metric, total=len(grid))
            file.write(openmetrics.head(metric, description))
            for instants, values in samples(shape, grid):
                file.write(openmetrics.lines(metric, labels.values, instants.tolist(), values.tolist()))
                progress.update(task, advance=len(values))
            file.write(openmetrics.EOF_LINE)
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
