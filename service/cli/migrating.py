"""`readership migrate`."""

from __future__ import annotations

import asyncio
import json

import typer

from clickhouse.engine import open_engine
from clickhouse.migrate import migrate as bring_up_to_date
from service.cli.client import Json
from service.settings import load_settings


def migrate(as_json: Json = False) -> None:
    """Bring the database to this version's schema; `serve` does it at start as well."""
    applied = asyncio.run(_migrate())
    if as_json:
        typer.echo(json.dumps({"applied": applied}))
        return
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo("up to date" if not applied else f"{len(applied)} applied")


async def _migrate() -> list[str]:
    engine = await open_engine(load_settings().dsn)
    try:
        return await bring_up_to_date(engine)
    finally:
        await engine.close()
