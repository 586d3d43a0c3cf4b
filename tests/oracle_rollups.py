"""What the rollups must hold: plain Python over the events that were stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.statement import Statement
from tests.oracle_calendar import DAY, HOUR, MINUTE, period_of

_COLUMNS = {
    "total": (),
    "country": ("country",),
    "author": ("author_id",),
    "author_blog": ("author_id", "blog_id"),
    "country_author_blog": ("country", "author_id", "blog_id"),
}

SETS = {
    "quarter_hour": ["total"],
    "hour": ["total"],
    "six_hours": ["total"],
    "day": ["total", "country", "author", "author_blog"],
    "week": ["total", "country", "author"],
    "month": ["total", "country", "author", "author_blog", "country_author_blog"],
    "year": ["total", "country", "author", "author_blog"],
}

_WIDTHS = {"quarter_hour": 15 * MINUTE, "hour": HOUR, "six_hours": 6 * HOUR, "day": DAY}

_WITHOUT_VIEWERS = {"quarter_hour", "hour", "six_hours"}

Key = tuple[str, str, str, str, str, int]
"""Dimension set, site, country, author, blog, bucket start in epoch ms."""

Numbers = tuple[int, int, int]
"""Views, distinct blogs, distinct viewers; 0 where a rollup keeps no such state."""


def bucket_of(grain: str, at: int) -> int:
    return at - at % _WIDTHS[grain] if grain in _WIDTHS else period_of(at, grain, "UTC").start


def partition_id(grain: str, at: int) -> str:
    year = period_of(bucket_of(grain, at), "year", "UTC").name
    return year[:-1] if grain == "year" else year


def rollup_of(grain: str, events: Iterable[Event]) -> dict[Key, Numbers]:
    rows = defaultdict[Key, list[Event]](list)
    for event in events:
        for name in SETS[grain]:
            country, author, blog = (
                getattr(event, column) if column in _COLUMNS[name] else ""
                for column in ("country", "author_id", "blog_id")
            )
            rows[name, event.site, country, author, blog, bucket_of(grain, event.viewed_at)].append(event)
    return {key: _numbers(grain, key[0], held) for key, held in rows.items()}


def _numbers(grain: str, name: str, events: list[Event]) -> Numbers:
    blogs = 0 if "blog_id" in _COLUMNS[name] else len({event.blog_id for event in events})
    without = grain in _WITHOUT_VIEWERS or name not in {"total", "country"}
    return len(events), blogs, 0 if without else len({event.viewer for event in events})


async def rollup_in(engine: Engine, grain: str) -> dict[Key, Numbers]:
    """The same as ClickHouse has it."""
    viewers = "0" if grain in _WITHOUT_VIEWERS else "uniqCombined64Merge(14)(viewers)"
    rows = await engine.select(
        Statement(
            f"SELECT toString(dimension_set), site, country, author_id, blog_id, 1000 * toUnixTimestamp(bucket),"
            f" sum(views), groupBitmapMerge(blogs), {viewers} FROM views_by_{grain} GROUP BY ALL"
        )
    )
    return {(row[0], row[1], row[2], row[3], row[4], row[5]): (row[6], row[7], row[8]) for row in rows}
