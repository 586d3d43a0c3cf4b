"""`readership doctor`."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

import httpx
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import Json, Url, default_url

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(url: Url = None, as_json: Json = False) -> None:
    """Examine the running service: what is wrong, and what to do about it; exit status 1 when something fails."""
    report = asyncio.run(_examine(url or default_url()))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _print(report)
    if report["status"] == "fail":
        raise typer.Exit(1)


async def _examine(url: str) -> dict[str, Any]:
    """The service's report with the check of the service itself before it.

    Asked once and over HTTP alone: a service in this process, or one that answers at the tenth try, is not examined.
    """
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            answer = await client.get("/api/doctor")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fault = str(error) or type(error).__name__
        return _alone(url, f"nothing answers: {fault}", "start it with `readership serve`, or give --url")
    try:
        report: dict[str, Any] = answer.raise_for_status().json()
        running, own = report["versions"]["readership"], version("readership")
    except (httpx.HTTPStatusError, ValueError, LookupError, TypeError):
        return _alone(url, f"it answers {answer.status_code}", "is it Readership, and of this version? See its log")
    service = {"name": "service", "status": "ok", "detail": f"{url} answers", "remedy": None}
    if running != own:
        mixed = f"{url} runs {running}, this command is {own}"
        service |= {"status": "warn", "detail": mixed, "remedy": "install one version in both places"}
        report["status"] = "warn" if report["status"] == "ok" else report["status"]
    return {**report, "checks": [service, *report["checks"]]}


def _alone(url: str, detail: str, remedy: str) -> dict[str, Any]:
    check = {"name": "service", "status": "fail", "detail": f"{url}: {detail}", "remedy": remedy}
    return {"status": "fail", "checks": [check], "versions": None}


def _print(report: dict[str, Any]) -> None:
    table = Table("check", "status", "what was found, and what to do", box=box.SIMPLE_HEAD)
    for column in table.columns[:2]:
        column.no_wrap = True
    for check in report["checks"]:
        colour = _COLOURS[check["status"]]
        said = escape(check["detail"]) + (f"\n→ {escape(check['remedy'])}" if check["remedy"] else "")
        table.add_row(check["name"], f"[{colour}]{check['status']}[/{colour}]", said)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    if report["versions"]:
        console.print(", ".join(f"{name} {found or 'away'}" for name, found in report["versions"].items()))
