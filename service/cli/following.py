"""A job watched to its end: a bar for each group of its units."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from service.cli.client import call

# Seconds between two looks.
_LOOK = 0.3


class NotDone(Exception):
    """A job failed or was cancelled."""


async def ended(client: httpx.AsyncClient, id_: str, *, quiet: bool) -> dict[str, Any]:
    """The job as it is when it has ended."""
    bars: dict[str, TaskID] = {}
    with _bars(quiet=quiet) as progress:
        while True:
            job: dict[str, Any] = await call(client, "GET", f"/api/jobs/{id_}")
            for group in job["progress"]:
                name = group["name"]
                if name not in bars:
                    bars[name] = progress.add_task(name, about="")
                # Of what has no rows, units tell how far it is.
                told = ("rows", "rows_done") if group["rows"] else ("units", "units_done")
                total, done = (group[one] for one in told)
                progress.update(bars[name], total=total, completed=done, about=_about(group))
            if job["status"] in ("done", "failed", "cancelled"):
                return job
            await asyncio.sleep(_LOOK)


def refuse_undone(job: dict[str, Any]) -> None:
    """Raises NotDone."""
    if job["status"] in ("failed", "cancelled"):
        raise NotDone(f"{job['id']} {job['status']}{': ' * bool(job['error'])}{job['error'] or ''}")


def _bars(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[about]}"),
        console=Console(stderr=True),
        disable=quiet,
    )


def _about(group: dict[str, Any]) -> str:
    told = [f"{group['rows_done']:,} rows"] if group["rows"] else [f"{group['units_done']} of {group['units']}"]
    if group["rows_per_second"] is not None:
        told.append(f"{group['rows_per_second']:,.0f}/s")
    if group["status"] == "running" and group["eta_seconds"] is not None:
        told.append(f"{timedelta(seconds=round(group['eta_seconds']))} left")
    elif group["status"] != "running":
        told.append(group["status"])
    return ", ".join(told)
