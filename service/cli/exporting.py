"""`readership export`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from service.cli.client import RefusedByService, Url, WrongRequest, detail_of, open_client


class CutOff(Exception):
    """What was written is not all there is."""


def export(
    metric: Annotated[str | None, typer.Option(help="Of samples: which metric.")] = None,
    dataset: Annotated[str, typer.Option(help="samples or views.")] = "samples",
    site: Annotated[str, typer.Option(help="The site they are of.")] = "default",
    start: Annotated[str | None, typer.Option(help="First day, or an exact timestamp with offset.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day (included), or an exact timestamp (excluded).")] = None,
    timezone: Annotated[str, typer.Option(help="IANA name of the zone that days are of.")] = "UTC",
    labels: Annotated[str | None, typer.Option(help='Only series with these: user=1,device="a, b", or JSON.')] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="openmetrics (samples' default), csv, parquet or ndjson (views' default)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A file, there when it is whole.")
    ] = None,
    url: Url = None,
) -> None:
    """Write samples of a metric, or views, as they were sent, to the standard output or a file.

    What is cut off ends with exit status 1, and leaves no file behind.
    """
    given = {"metric": metric, "dataset": dataset, "site": site, "start": start, "end": end, "timezone": timezone}
    given |= {"labels": labels, "format": format_}
    asked = {name: value for name, value in given.items() if value is not None}
    if output is None:
        asyncio.run(_export(url, asked, sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            asyncio.run(_export(url, asked, file))
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


async def _export(url: str | None, asked: dict[str, str], to: BinaryIO) -> None:
    """Raises WrongRequest, RefusedByService, CutOff."""
    # Nothing on the way has to compress it; what does so all the same is undone where it is read.
    plain = {"Accept-Encoding": "identity"}
    async with (
        open_client(url) as client,
        client.stream("GET", "/api/export", params=asked, headers=plain) as response,
    ):
        if not response.is_success:
            await response.aread()
            raise _refusal(response)
        try:
            with _bar() as progress:
                task = progress.add_task(asked.get("metric", asked["dataset"]), total=None)
                async for piece in response.aiter_bytes():
                    # A pipe that nobody reads waits for its reader, and the service for us.
                    await asyncio.to_thread(to.write, piece)
                    progress.update(task, advance=len(piece))
        except httpx.TransportError as error:
            raise CutOff(f"the export was cut off, and is not whole: {error}") from error


def _refusal(response: httpx.Response) -> Exception:
    if response.status_code == 422:
        for error in response.json()["errors"]:
            return WrongRequest(f"--{error['field']}: {error['message']}")
    return RefusedByService(f"GET /api/export: {response.status_code} {detail_of(response)}")


@contextmanager
def _bar() -> Iterator[Progress]:
    """Where somebody looks at it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty()
    ) as progress:
        yield progress
