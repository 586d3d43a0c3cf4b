"""What is to be deleted of raw: which rows that is, which days they touch, and the statement that takes them away.

A deletion is of the moment it was asked for: events received later stay, whatever they are of. It is written down
before anything else, so that events received before, which still wait in some process's spool, are dropped there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickhouse.drift import everything
from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.mutations import mutate
from clickhouse.partitions import Partition, by_partition
from clickhouse.rollups import AUTHOR_BLOG, EVENTS, GRAINS, VIEWS
from clickhouse.spans import BUCKET, Span, bound, days_of, within
from clickhouse.statement import Statement, Value

# Ids a look: 16 bytes each, and some 100 more as Python has them.
_PORTION = 50_000


class Of(StrEnum):
    """What a deletion is of; the value of an event that has to be the deletion's `key`."""

    SITE = "site"
    """All of it; there is no key."""
    BLOG = "blog"
    """The blog_id."""
    VIEWER = "viewer"
    """The hash of the viewer_id, in digits."""
    IMPORT = "import"
    """The number of the import, in digits."""


@dataclass(frozen=True)
class Deletion:
    """`asked_at`: epoch milliseconds."""

    site: str
    of: Of
    key: str
    asked_at: int

    @property
    def condition(self) -> str:
        """SQL over the columns of raw; `values` are bound to it."""
        return f"site = {{site:String}}{_CONDITIONS[self.of]} AND received_at <= {_ASKED_AT}"

    @property
    def values(self) -> dict[str, Value]:
        found: dict[str, Value] = {"site": self.site, "asked_at": self.asked_at}
        if self.of is not Of.SITE:
            found["key"] = self.key
        return found


_ASKED_AT = "fromUnixTimestamp64Milli({asked_at:Int64}, 'UTC')"

_CONDITIONS = {
    Of.SITE: "",
    Of.BLOG: " AND blog_id = {key:String}",
    Of.VIEWER: " AND viewer = toUInt64({key:String})",
    Of.IMPORT: " AND import_id = toUInt32({key:String})",
}


async def write_down(engine: Engine, deletion: Deletion) -> None:
    """From now on `covered` knows of it. Raises ClickHouseError."""
    values: dict[str, Value] = {
        "site": deletion.site,
        "kind": deletion.of.value,
        "key": deletion.key,
        "asked_at": deletion.asked_at,
    }
    sql = f"""\
INSERT INTO deletions (site, kind, key, asked_at)
SELECT {{site:String}}, {{kind:String}}, {{key:String}}, {_ASKED_AT}
SETTINGS async_insert = 0"""
    await engine.execute(Statement(sql, values))


async def covered(engine: Engine, events: Sequence[Event]) -> set[int]:
    """Positions of the events that were received before their deletion was asked for. Raises ClickHouseError."""
    if not events:
        return set()
    # Asked after the oldest of them came: in all but a few seconds of a year there is none.
    sql = f"""\
SELECT site, kind, key, toUnixTimestamp64Milli(max(asked_at))
FROM deletions
WHERE asked_at >= {_ASKED_AT}
GROUP BY site, kind, key"""
    oldest = min(event.received_at for event in events)
    rows = await engine.select(Statement(sql, {"asked_at": oldest}))
    asked = {(row[0], Of(row[1]), row[2]): row[3] for row in rows}
    if not asked:
        return set()
    return {at for at, event in enumerate(events) if any(asked.get(k, -1) >= event.received_at for k in _keys(event))}


def _keys(event: Event) -> tuple[tuple[str, Of, str], ...]:
    site = event.site
    return (
        (site, Of.SITE, ""),
        (site, Of.BLOG, event.blog_id),
        (site, Of.VIEWER, str(event.viewer)),
        (site, Of.IMPORT, str(event.import_id)),
    )


async def without_deleted(engine: Engine, events: Sequence[Event]) -> list[Event]:
    """Those that are not `covered`. Raises ClickHouseError."""
    dropped = await covered(engine, events)
    return [event for at, event in enumerate(events) if at not in dropped]


async def any_of(engine: Engine, deletion: Deletion) -> bool:
    """Whether raw has a row to be deleted."""
    rows = await engine.select(Statement(f"SELECT 1 FROM {EVENTS} WHERE {deletion.condition} LIMIT 1", deletion.values))
    return bool(rows)


async def touched(engine: Engine, deletion: Deletion) -> tuple[int, list[Span]]:
    """How many rows are to be deleted, and the whole days they lie in."""
    sql = f"""\
SELECT toInt64(toUnixTimestamp(toStartOfDay(viewed_at))) * 1000 AS day, count()
FROM {EVENTS}
WHERE {deletion.condition}
GROUP BY day"""
    rows = await engine.select(Statement(sql, deletion.values))
    return sum(row[1] for row in rows), days_of(row[0] for row in rows)


async def received_ids(engine: Engine, deletion: Deletion, since: int) -> AsyncIterator[Sequence[bytes]]:
    """The event_ids of rows to be deleted that were received from `since` (epoch ms) on, in portions."""
    where = f"{deletion.condition} AND received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')"
    values: dict[str, Value] = {**deletion.values, "since": since}
    count = (await engine.select(Statement(f"SELECT count() FROM {EVENTS} WHERE {where}", values)))[0][0]
    portions = -(-count // _PORTION)
    for number in range(portions):
        sql = f"""\
SELECT replaceAll(toString(event_id), '-', '')
FROM {EVENTS}
WHERE {where} AND cityHash64(event_id) % {{portions:UInt64}} = {{number:UInt64}}"""
        rows = await engine.select(Statement(sql, {**values, "portions": portions, "number": number}))
        yield [bytes.fromhex(row[0]) for row in rows]


async def erase(engine: Engine, deletion: Deletion) -> None:
    """The rows are gone when this returns; the rollups do not know of it. Raises ClickHouseError."""
    await mutate(engine, VIEWS, Statement(f"ALTER TABLE {EVENTS} DELETE WHERE {deletion.condition}", deletion.values))


async def expired_partitions(engine: Engine, since: int) -> list[Partition]:
    """Those with buckets that begin before `since` (epoch ms). Raises ClickHouseError."""
    there = await everything(engine, VIEWS) if since else []
    expired = [Span(span.start, min(span.end, since)) for span in there if span.start < since]
    return [partition for grain in GRAINS for partition in by_partition(grain, expired)]


async def erase_expired(engine: Engine, partition: Partition, site: str, since: int) -> None:
    """A site's buckets that begin before `since` (epoch ms): their events have expired, and nothing makes them again.
    What else is in them of the site goes as well. Not while the partition is rebuilt, which would bring them back.

    Raises ClickHouseError.
    """
    expired = [Span(0, since)]
    sql = f"""\
ALTER TABLE {partition.grain.table}
    DELETE IN PARTITION ID '{partition.id}' WHERE site = {{site:String}} AND {within("bucket", BUCKET, expired)}
SETTINGS mutations_sync = 2"""
    await engine.execute(Statement(sql, {"site": site, **bound(expired)}))


async def kept_views(engine: Engine, deletion: Deletion, since: int) -> int | None:
    """How many views of it the days before `since` (epoch ms) count; None: they do not tell."""
    if deletion.of is not Of.BLOG:
        return None
    days = [Span(0, since)]
    sql = f"""\
SELECT sum(views)
FROM views_by_day
WHERE dimension_set = '{AUTHOR_BLOG.name}' AND site = {{site:String}} AND blog_id = {{key:String}}
  AND {within("bucket", BUCKET, days)}"""
    values = {"site": deletion.site, "key": deletion.key, **bound(days)}
    return int((await engine.select(Statement(sql, values)))[0][0])


async def unregister(engine: Engine, site: str, blog_id: str | None = None) -> None:
    """A blog, or all blogs and authors of a site, with what is remembered of their authors.

    The numbers of blogs stay: processes remember them, and a blog that comes back has to have the same.
    """
    tables, condition = ["blogs", "former_authors"], "site = {site:String}"
    values: dict[str, Value] = {"site": site}
    if blog_id is None:
        tables.append("authors")
    else:
        condition += " AND blog_id = {blog_id:String}"
        values["blog_id"] = blog_id
    for table in tables:
        sql = f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"
        await engine.execute(Statement(sql, values))
