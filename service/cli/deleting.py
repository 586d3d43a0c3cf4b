"""`readership delete …`: what is to be gone from events and rollups."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.cli.client import Json, RefusedByService, Url, call, open_client
from service.parameters import DEFAULT_SITE

app = typer.Typer(help="Delete a blog, what a viewer read, or all of a site.", no_args_is_help=True)

# Seconds between two looks at the job.
_LOOK = 0.3

Site = Annotated[str, typer.Option(help="The site it belongs to.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def blog(blog_id: str, site: Site = DEFAULT_SITE, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Delete a blog and every view of it."""
    _delete(f"blog {blog_id} of site {site}", f"/api/blogs/{_quoted(blog_id)}", site, yes=yes, url=url, as_json=as_json)


@app.command()
def viewer(viewer_id: str, site: Site = DEFAULT_SITE, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Delete every view of a viewer, by the viewer_id that the events were sent with."""
    what, path = f"viewer {viewer_id} of site {site}", f"/api/viewers/{_quoted(viewer_id)}"
    _delete(what, path, site, yes=yes, url=url, as_json=as_json)


@app.command("site")
def site_(site: str, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Delete all views, blogs and authors of a site."""
    _delete(f"all of site {site}", f"/api/sites/{_quoted(site)}", None, yes=yes, url=url, as_json=as_json)


async def empty_site(client: httpx.AsyncClient, site: str, *, quiet: bool) -> dict[str, Any]:
    """Returns the job that emptied it. Raises RefusedByService."""
    return await _deleted(client, f"/api/sites/{_quoted(site)}", None, quiet=quiet)


def _quoted(id_: str) -> str:
    return quote(id_, safe="")


def _delete(what: str, path: str, site: str | None, *, yes: bool, url: str | None, as_json: bool) -> None:
    if not yes and not typer.confirm(f"Delete {what}? It cannot be undone", err=True):
        raise typer.Exit(1)

    async def ask() -> dict[str, Any]:
        async with open_client(url) as client:
            return await _deleted(client, path, site, quiet=as_json)

    job = asyncio.run(ask())
    if as_json:
        typer.echo(json.dumps(job))
        return
    for step in job["steps"]:
        if step["task"] in {"find", "erase"} and step["note"]:
            typer.echo(f"{what}: {step['note']}")


async def _deleted(client: httpx.AsyncClient, path: str, site: str | None, *, quiet: bool) -> dict[str, Any]:
    """The job when it is done. Raises RefusedByService, also where it failed."""
    parameters = {} if site is None else {"site": site}
    id_ = (await call(client, "DELETE", path, params=parameters))["id"]
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    ) as progress:
        task = progress.add_task("deleting", total=None)
        while (job := await call(client, "GET", f"/api/jobs/{id_}"))["status"] not in ("done", "failed", "cancelled"):
            doing = ", ".join(job["current"]) or "waiting"
            progress.update(task, total=job["units"], completed=job["units_done"], description=doing)
            await asyncio.sleep(_LOOK)
        progress.update(task, total=job["units"], completed=job["units_done"], description="deleted")
    if job["status"] != "done":
        raise RefusedByService(f"{id_} {job['status']}: {job['error'] or 'see /api/jobs'}")
    found: dict[str, Any] = job
    return found
