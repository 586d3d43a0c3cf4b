"""The events: few blogs have most of the views. Made once and kept as files: all sides send the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

import msgspec
from uuid_utils import uuid7

from service.events.parse import hash_viewer

BLOGS = 5_000
AUTHORS = 300
VIEWERS = 500_000
COUNTRIES = ("US", "IN", "ET", "DE", "BR", "NG", "FR", "JP", "GB", "KE")

# Zipf with exponent 1: the first blog has a ninth of all views.
_POPULARITY = list(accumulate(1 / rank for rank in range(1, BLOGS + 1)))
_COUNTRY_SHARES = list(accumulate(1 / rank for rank in range(1, len(COUNTRIES) + 1)))
_REFERRERS = ("", "https://news.example.com/", "https://search.example.com/?q=views")

_encode = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True)
class Workload:
    """`blocks` files of `rows` events of one site; as HTTP bodies and, where asked, as rows of view_events."""

    folder: Path
    name: str
    blocks: int
    rows: int

    @property
    def events(self) -> int:
        return self.blocks * self.rows

    @property
    def site(self) -> str:
        return f"{self.name}.example.org"

    def bodies(self) -> list[bytes]:
        """NDJSON as clients send it."""
        return [(self.folder / f"{self.name}-{number}.ndjson").read_bytes() for number in range(self.blocks)]

    def tables(self) -> list[bytes]:
        """The same events with all columns of view_events."""
        return [(self.folder / f"{self.name}-{number}.rows").read_bytes() for number in range(self.blocks)]


@dataclass(frozen=True)
class Span:
    """When the events happened (epoch ms), ascending or in any order; and whether clients gave them ids."""

    start: int
    end: int
    ascending: bool = False
    given_ids: bool = False


def write(workload: Workload, span: Span, *, tables: bool = False) -> None:
    """Writes the files. The same name makes the same events, but for time and ids."""
    chance = random.Random(workload.name)
    times = (chance.randrange(span.start, span.end) for _ in range(workload.events))
    moments = iter(sorted(times) if span.ascending else times)
    for number in range(workload.blocks):
        events = list(_events(workload, span, moments, chance))
        (workload.folder / f"{workload.name}-{number}.ndjson").write_bytes(_encode(events))
        if tables:
            rows = [_row(event, span.end) for event in events]
            (workload.folder / f"{workload.name}-{number}.rows").write_bytes(_encode(rows))


def _events(workload: Workload, span: Span, moments: Iterator[int], chance: random.Random) -> Iterator[dict[str, str]]:
    rows = workload.rows
    blogs = chance.choices(range(BLOGS), cum_weights=_POPULARITY, k=rows)
    countries = chance.choices(COUNTRIES, cum_weights=_COUNTRY_SHARES, k=rows)
    referrers = chance.choices(_REFERRERS, k=rows)
    for blog, country, referrer, moment in zip(blogs, countries, referrers, moments, strict=False):
        event = {
            "site": workload.site,
            "blog_id": f"blog-{blog}",
            "author_id": f"author-{blog % AUTHORS}",
            "country": country,
            "viewer_id": f"viewer-{chance.randrange(VIEWERS)}",
            "viewed_at": _iso(moment),
            "url": f"https://{workload.site}/posts/blog-{blog}",
        }
        if referrer:
            event["referrer"] = referrer
        if span.given_ids:
            event["event_id"] = str(uuid7())
        yield event


def _row(event: dict[str, str], received_at: int) -> dict[str, str | int]:
    row: dict[str, str | int] = {**event, "referrer": event.get("referrer", "")}
    row["blog_number"] = int(event["blog_id"].removeprefix("blog-"))
    row["viewer"] = hash_viewer(event["site"], event["viewer_id"])
    del row["viewer_id"]
    return {"event_id": str(uuid7()), **row, "received_at": _iso(received_at)}


def _iso(epoch_ms: int) -> str:
    moment = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"
