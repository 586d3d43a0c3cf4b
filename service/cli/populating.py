"""`readership populate`: a made-up site to try things on."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from service import countries
from service.cli.client import Json, Url, call, open_client, store
from service.cli.deleting import empty_site
from service.cli.progress import Rate
from service.clock import now
from service.parameters import DEFAULT_SITE

REQUEST = 5_000

Count = Annotated[int, typer.Option(min=0)]

_ADJECTIVES = ("Quiet", "Honest", "Small", "Late", "Exact", "Slow", "Bright", "Long", "Plain", "Early")
_NOUNS = (
    "Rivers",
    "Compilers",
    "Gardens",
    "Queues",
    "Letters",
    "Clocks",
    "Bridges",
    "Maps",
    "Tests",
    "Winters",
)
_FIRST = ("Ada", "Abebe", "Grace", "Linus", "Sara", "Hanna", "Edsger", "Barbara", "Alan", "Radia")
_LAST = ("Okafor", "Bekele", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Haile", "Iyer", "Kowalski")


@dataclass(frozen=True)
class Site:
    """What is to be made: how many of each, seen over how many days up to `now`."""

    name: str
    users: int
    blogs: int
    views: int
    countries: int
    days: int
    now: datetime


@dataclass
class Views:
    """What became of those sent."""

    accepted: int = 0
    duplicates: int = 0


def populate(
    blogs: Count = 100,
    blog_views: Count = 100,
    users: Count = 100,
    countries: Count = 100,
    days: Annotated[int, typer.Option(min=1, max=9_000, help="Views are spread over the last N days.")] = 365,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same site, and sent again within a day adds nothing.")
    ] = None,
    site: Annotated[str, typer.Option(help="The site to fill.")] = DEFAULT_SITE,
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of the site before.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Fill a site with made-up authors, blogs and views, to try things on."""
    if blog_views and not blogs:
        raise typer.BadParameter("views need at least one blog", param_hint="--blogs")
    wanted = Site(site, users, blogs, blog_views, countries, days, now())
    views = asyncio.run(_populate(wanted, random.Random(seed), url, clear=clear, quiet=as_json))
    if as_json:
        typer.echo(json.dumps({"site": site, "authors": users, "blogs": blogs, "days": days, **asdict(views)}))
        return
    known = f", {views.duplicates:,} known already" if views.duplicates else ""
    typer.echo(f"site {site}: {users:,} authors, {blogs:,} blogs, {views.accepted:,} views over {days} days{known}")


async def _populate(wanted: Site, chance: random.Random, url: str | None, *, clear: bool, quiet: bool) -> Views:
    authors, blogs = make_authors(wanted, chance), make_blogs(wanted, chance)
    async with open_client(url) as client:
        if clear:
            await empty_site(client, wanted.name, quiet=quiet)
        await _put(client, "/api/authors", authors)
        await _put(client, "/api/blogs", blogs)
        return await _post(client, wanted, make_views(wanted, blogs, chance), quiet=quiet)


async def _put(client: httpx.AsyncClient, path: str, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), REQUEST):
        await call(client, "PUT", path, json=rows[start : start + REQUEST])


async def _post(client: httpx.AsyncClient, wanted: Site, views: Iterator[dict[str, Any]], *, quiet: bool) -> Views:
    encoder, sent = msgspec.json.Encoder(), Views()
    headers = {"Content-Type": "application/x-ndjson"}
    with Progress(
        SpinnerColumn(),
        TextColumn("views"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    ) as progress:
        task = progress.add_task("views", total=wanted.views)
        while batch := list(islice(views, REQUEST)):
            body = encoder.encode_lines(batch)
            answer = await store(client, "/api/events", content=body, headers=headers)
            sent.accepted += answer["accepted"]
            sent.duplicates += answer["duplicates"]
            progress.update(task, advance=len(batch))
    return sent


def make_authors(wanted: Site, chance: random.Random) -> list[dict[str, Any]]:
    """user1, user2, … with names."""
    return [
        {
            "site": wanted.name,
            "author_id": f"user{number}",
            "username": f"user{number}",
            "name": f"{chance.choice(_FIRST)} {chance.choice(_LAST)}",
        }
        for number in range(1, wanted.users + 1)
    ]


def make_blogs(wanted: Site, chance: random.Random) -> list[dict[str, Any]]:
    """blog-1, blog-2, …, each of some author, created at some moment of the time looked at."""
    codes = _codes(wanted)
    made = []
    for number in range(1, wanted.blogs + 1):
        blog = {
            "site": wanted.name,
            "blog_id": f"blog-{number}",
            "title": f"{chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)} {number}",
            "created_at": rfc3339(_moment(wanted, chance)),
        }
        if wanted.users:
            blog["author_id"] = f"user{chance.randint(1, wanted.users)}"
        if codes:
            blog["country"] = chance.choice(codes)
        made.append(blog)
    return made


def make_views(wanted: Site, blogs: Sequence[dict[str, Any]], chance: random.Random) -> Iterator[dict[str, Any]]:
    """Few blogs have most of the views, as on real sites; a tenth of the views come from nowhere known."""
    codes = _codes(wanted)
    viewers = max(1, wanted.views // 3)
    for _ in range(wanted.views):
        blog = blogs[int(len(blogs) * chance.random() ** 3)]
        view = {
            "event_id": str(UUID(int=chance.getrandbits(128), version=4)),
            "site": wanted.name,
            "blog_id": blog["blog_id"],
            "viewed_at": epoch_ms(_moment(wanted, chance)),
            "viewer_id": f"viewer-{chance.randrange(viewers)}",
        }
        if "author_id" in blog:
            view["author_id"] = blog["author_id"]
        if codes and chance.random() > 0.1:
            view["country"] = codes[int(len(codes) * chance.random() ** 2)]
        yield view


def _codes(wanted: Site) -> list[str]:
    return sorted(countries.names())[: wanted.countries]


def _moment(wanted: Site, chance: random.Random) -> datetime:
    span = timedelta(days=wanted.days) // timedelta(milliseconds=1)
    return from_epoch_ms(epoch_ms(wanted.now) - chance.randrange(1, span))
