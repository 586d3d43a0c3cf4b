"""What the way from a request to ClickHouse has to know of a dataset's rows: how they are packed, found, and frozen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec
from msgspec.msgpack import Decoder

from clickhouse import deletion, events, samples
from clickhouse.blocks import Block
from clickhouse.blogs import Key
from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.rollups import OF_SAMPLES, VIEWS
from clickhouse.samples import Sample
from clickhouse.shapes import Dataset
from workers.batches import Batch, Unreadable, counted
from workers.spool.records import Record
from workers.versions import stale_sites


class Row(Protocol):
    """A row of raw."""

    @property
    def site(self) -> str: ...
    @property
    def id(self) -> bytes:
        """16 bytes; rows of a site with one id are one row."""
        ...

    @property
    def instant(self) -> int:
        """Epoch milliseconds: when it was viewed, or taken."""
        ...

    @property
    def received_at(self) -> int:
        """Epoch milliseconds."""
        ...


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Writing(Generic[R]):
    """Of one dataset."""

    dataset: Dataset
    unpack_record: Callable[[bytes], tuple[int, list[R], list[int]]]
    unpack_sealed: Callable[[bytes], tuple[int, Batch, list[R]]]
    format: int
    """Of what `pack` and `seal` make; to be raised with every change of the row's fields, and then both are to be read.
    Events of format 1 end before `import_id`, whose default they get."""
    known_ids: Callable[[Engine, Sequence[R]], Awaitable[set[tuple[str, bytes]]]]
    """The (site, id) of rows that raw has. Raises ClickHouseError."""
    without_deleted: Callable[[Engine, Sequence[R]], Awaitable[list[R]]]
    complete: Callable[[Batch, list[R]], list[R]]
    """Fills in what the batch knows of its rows."""
    freeze: Callable[[str, Sequence[R], Batch], Block]
    stale_sites: Callable[[Iterable[R], int], set[str]]
    """Whose kept answers the rows change, committed by an instant (epoch ms)."""

    def pack(self, rows: Sequence[R], given: Sequence[int]) -> bytes:
        """What one request had accepted; `given` are the positions of the rows whose ids were claimed for it."""
        return msgspec.msgpack.encode((self.format, rows, given))

    def unpack(self, record: Record) -> tuple[list[R], list[int]]:
        """As given to `pack`."""
        _, rows, given = self.unpack_record(record.payload)
        return rows, given

    def counted(self, batch: Batch, rows: Sequence[R]) -> list[R]:
        """Of all rows of the batch's records, in order, those that it counts, complete."""
        return self.complete(batch, counted(batch, rows))

    def seal(self, batch: Batch, rows: Sequence[R]) -> bytes:
        """All that `block` needs, for when the records are gone; `rows`: what `counted` returned."""
        return msgspec.msgpack.encode((self.format, batch, rows))

    def unseal(self, sealed: bytes) -> tuple[Batch, list[R]]:
        """As given to `seal`. Raises Unreadable."""
        try:
            _, batch, rows = self.unpack_sealed(sealed)
        except msgspec.DecodeError as error:
            raise Unreadable(f"no batch: {error}") from error
        return batch, rows

    def block(self, batch: Batch, rows: Sequence[R], part: int = 0) -> Block:
        """`rows`: what `counted` returned, at least one; or some of them, a block of its own by the number `part`."""
        return self.freeze(f"{batch.token}-{part}" if part else batch.token, rows, batch)

    async def missing(self, engine: Engine, rows: Sequence[R]) -> list[R]:
        """Those that raw does not have. Raises ClickHouseError."""
        found = await self.known_ids(engine, rows)
        return [row for row in rows if (row.site, row.id) not in found]


def _with_authors(batch: Batch, rows: list[Event]) -> list[Event]:
    authors = {(site, blog_id): author for site, blog_id, author in batch.authors}
    return [_with_author(event, authors) for event in rows] if authors else rows


def _with_author(event: Event, authors: dict[Key, str]) -> Event:
    if event.author_id:
        return event
    author = authors.get((event.site, event.blog_id))
    return event._replace(author_id=author) if author else event


def _freeze_events(token: str, rows: Sequence[Event], batch: Batch) -> Block:
    return events.freeze(token, rows, {(site, blog_id): number for site, blog_id, number in batch.numbers})


async def _all(engine: Engine, rows: Sequence[Sample]) -> list[Sample]:
    return list(rows)


WRITING_EVENTS = Writing(
    VIEWS,
    Decoder(tuple[int, list[Event], list[int]]).decode,
    Decoder(tuple[int, Batch, list[Event]]).decode,
    format=2,
    known_ids=events.known_ids,
    without_deleted=deletion.without_deleted,
    complete=_with_authors,
    freeze=_freeze_events,
    stale_sites=stale_sites,
)

# Answers about samples are not kept; samples of a site are not deleted by themselves.
WRITING_SAMPLES = Writing(
    OF_SAMPLES,
    Decoder(tuple[int, list[Sample], list[int]]).decode,
    Decoder(tuple[int, Batch, list[Sample]]).decode,
    format=1,
    known_ids=samples.known_ids,
    without_deleted=_all,
    complete=lambda batch, rows: rows,
    freeze=lambda token, rows, batch: samples.freeze(token, rows),
    stale_sites=lambda rows, now: set(),
)
