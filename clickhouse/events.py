"""View events as ClickHouse sees them: the row, the frozen block, and the two look-ups before an insert."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from clickhouse import native
from clickhouse.blocks import Block
from clickhouse.blogs import Key
from clickhouse.engine import Engine
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement, Value, portions

# An event_id seen again within this time is the same event, whatever else it says (client retries).
RETRY_WINDOW = timedelta(hours=24)


class Event(NamedTuple):
    """One view, valid and normalised. Times are epoch milliseconds, UTC."""

    event_id: bytes
    site: str
    blog_id: str
    author_id: str
    country: str
    viewer: int
    viewed_at: int
    received_at: int
    url: str
    referrer: str
    import_id: int = 0
    """Of the import that brought it (clickhouse/imports.py); 0: a client sent it."""

    @property
    def id(self) -> bytes:
        """16 bytes that tell it from every other of its site."""
        return self.event_id

    @property
    def instant(self) -> int:
        return self.viewed_at


_ENCODERS: dict[str, tuple[str, Callable[..., bytes]]] = {
    "event_id": ("UUID", native.uuids),
    "viewer": ("UInt64", native.uint64s),
    "blog_number": ("UInt32", native.uint32s),
    "import_id": ("UInt32", native.uint32s),
    "viewed_at": ("DateTime64(3, 'UTC')", native.int64s),
    "received_at": ("DateTime64(3, 'UTC')", native.int64s),
}


_COLUMNS = (*Event._fields, "blog_number")


def freeze(token: str, events: Sequence[Event], numbers: Mapping[Key, int]) -> Block:
    """The events as one Native block, in the order given; at least one. `numbers` are those of all their blogs."""
    numbered = [numbers[event.site, event.blog_id] for event in events]
    columns = []
    for name, values in zip(_COLUMNS, (*zip(*events, strict=True), numbered), strict=True):
        type_, encode = _ENCODERS.get(name, ("String", native.strings))
        columns.append(native.Column(name, type_, encode(values)))
    return Block(EVENTS, _COLUMNS, token, native.block(len(events), columns))


# Ids per look-up: they stand in the query's text twice, which may be 256 kB long.
_LOOKUP = 2_500


async def known_ids(engine: Engine, rows: Sequence[Event], *, lately: bool = True) -> set[tuple[str, bytes]]:
    """The (site, event_id) among `rows` that are stored already.

    An event counts as stored when its id came in during the last 24 hours, or ever with the same viewed_at:
    a client's retry is found by the first, a file imported again next year by the second. Without `lately` the second
    alone is asked: the first reads all ids of a day, and on the day of an import those are the whole file's.
    """
    # By time, so that each portion reads a piece of the table, and all together no granule twice.
    ordered = sorted(rows, key=lambda event: (event.site, event.viewed_at))
    chunks = portions(ordered, lambda event: [event.site], _LOOKUP)
    found = await asyncio.gather(*(_known_ids(engine, chunk, lately=lately) for chunk in chunks))
    return set().union(*found)


async def _known_ids(engine: Engine, events: Sequence[Event], *, lately: bool) -> set[tuple[str, bytes]]:
    ids = b"".join(event.event_id for event in events).hex()
    times = ",".join(map(str, {event.viewed_at for event in events}))
    since = min(event.received_at for event in events) - RETRY_WINDOW // timedelta(milliseconds=1)
    values: dict[str, Value] = {"sites": sorted({event.site for event in events})}
    if lately:
        values["since"] = since
    rows = await engine.select(Statement(_known(ids, times, lately=lately), values))
    return {(row[0], bytes.fromhex(row[1])) for row in rows}


def _known(ids: str, times: str, *, lately: bool) -> str:
    """The look-up, with ids (hex) and times (digits) in its text.

    They stand in the text because the client escapes bound strings one character at a time: 64 kB of hex
    cost 11 ms bound and 1.9 ms written out. Digits and commas are all they can hold.
    """
    id_set = f"""\
(
    WITH '{ids}' AS hex
    SELECT toUUID(substring(hex, 1 + 32 * number, 32)) FROM numbers(toUInt64(length(hex) / 32))
)"""
    # Two SELECTs because each has its own index: the first reads by primary key, the second by received_at.
    by_time = f"""\
SELECT site, replaceAll(toString(event_id), '-', '')
FROM {EVENTS}
WHERE site IN {{sites:Array(String)}}
  AND viewed_at IN (SELECT fromUnixTimestamp64Milli(toInt64(arrayJoin(splitByChar(',', '{times}'))), 'UTC'))
  AND event_id IN {id_set}"""
    if not lately:
        return by_time
    return f"""\
{by_time}
UNION DISTINCT
SELECT site, replaceAll(toString(event_id), '-', '')
FROM {EVENTS}
WHERE site IN {{sites:Array(String)}}
  AND received_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
  AND event_id IN {id_set}"""
