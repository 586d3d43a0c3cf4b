"""The way from accepted to committed when the engine fails on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from clickhouse.engine import Engine, Row
from clickhouse.errors import Unavailable
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS, GRAINS
from clickhouse.statement import Statement
from workers import flusher as module
from workers.flusher import Flusher, NotStored
from workers.journal import Journal
from workers.numbering import Numbering
from workers.versions import Versions


def event(number: int = 0, site: str = "s") -> Event:
    now = int(time.time() * 1000)
    return Event(uuid4().bytes, site, f"b{number}", "u", "ET", number, now, now, "", "")


FUSE = "CREATE TABLE fuse (x UInt8) ENGINE = Memory"
BROKEN_VIEW = (
    "CREATE MATERIALIZED VIEW broken TO fuse AS"
    " SELECT toUInt8(throwIf(e.site = 's', 'on purpose')) AS x FROM view_events AS e"
)


class Faulty:
    """An engine whose inserts fail first, before or after they are carried out."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fail_before = 0
        self.fail_after = 0
        self.blocks: list[bytes] = []
        self.tried = asyncio.Event()
        self.third_try = asyncio.Event()
        self.committed = asyncio.Event()

    async def select(self, statement: Statement) -> list[Row]:
        return await self.engine.select(statement)

    async def ask(self, statement: Statement) -> list[Row]:
        return await self.engine.ask(statement)

    async def rows_read(self, statement: Statement) -> int:
        return await self.engine.rows_read(statement)

    async def execute(self, statement: Statement) -> None:
        await self.engine.execute(statement)

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        if table != EVENTS:
            await self.engine.insert(table, columns, block, settings)
            return
        self.blocks.append(block)
        self.tried.set()
        if len(self.blocks) == 3:
            self.third_try.set()
        if self.fail_before:
            self.fail_before -= 1
            raise Unavailable("the connection was refused")
        await self.engine.insert(table, columns, block, settings)
        if self.fail_after:
            self.fail_after -= 1
            raise Unavailable("the answer got lost")
        self.committed.set()

    async def close(self) -> None:
        await self.engine.close()


@pytest.fixture
async def faulty(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.01, 0.01))
    await migrate(engine)
    return Faulty(engine)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "batches")


@pytest.fixture
async def numbering(faulty: Faulty, redis_url: str) -> AsyncIterator[Numbering]:
    async with Redis.from_url(redis_url) as redis:
        yield Numbering(faulty, redis)


@pytest.fixture
async def versions(redis_url: str) -> AsyncIterator[Versions]:
    async with Redis.from_url(redis_url) as redis:
        yield Versions(redis)


@pytest.fixture
async def flusher(faulty: Faulty, journal: Journal, numbering: Numbering, versions: Versions) -> AsyncIterator[Flusher]:
    flusher = Flusher(faulty, journal, numbering, versions)
    yield flusher
    await flusher.close()


async def totals(engine: Engine | Faulty) -> set[int]:
    """Views as raw and as every rollup has them."""
    raw = await engine.select(Statement("SELECT count() FROM view_events"))
    found = {raw[0][0]}
    for grain in GRAINS:
        sums = f"SELECT sum(views) FROM {grain.table} GROUP BY dimension_set"
        found |= {row[0] for row in await engine.select(Statement(sums))}
    return found


async def test_lost_answer_is_retried_and_counted_once(faulty: Faulty, flusher: Flusher) -> None:
    faulty.fail_after = 2
    receipt = await flusher.append([event(n) for n in range(5)], frozenset())
    assert (receipt.stored, len(faulty.blocks)) == (5, 3)
    assert await totals(faulty) == {5}


async def test_refused_connection_is_retried(faulty: Faulty, flusher: Flusher) -> None:
    faulty.fail_before = 2
    await flusher.append([event()], frozenset())
    assert await totals(faulty) == {1}


async def test_view_that_throws_for_a_while_is_healed_by_the_same_batch(
    faulty: Faulty, flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await faulty.execute(Statement(FUSE))
    await faulty.execute(Statement(BROKEN_VIEW))
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.05,) * 100)
    waiting = asyncio.create_task(flusher.append([event(n) for n in range(3)], frozenset()))
    await faulty.third_try.wait()
    await faulty.execute(Statement("DROP TABLE broken"))
    assert (await waiting).stored == 3
    assert len(set(faulty.blocks)) == 1
    assert await totals(faulty) == {3}


async def test_batch_given_up_is_finished_before_any_other(faulty: Faulty, flusher: Flusher) -> None:
    faulty.fail_before = 4
    first = event(1)
    with pytest.raises(NotStored):
        await flusher.append([first], frozenset({0}))
    # What the client was told: send again with the same ids. The batch was kept, so this one is a duplicate.
    assert (await flusher.append([first, event(2)], frozenset({0}))).duplicates == 1
    assert await totals(faulty) == {2}


async def test_batch_cut_between_raw_and_rollups_is_finished_when_it_is_sent_again(
    faulty: Faulty, flusher: Flusher
) -> None:
    await faulty.execute(Statement(FUSE))
    await faulty.execute(Statement(BROKEN_VIEW))
    first = event(1)
    with pytest.raises(NotStored):
        await flusher.append([first], frozenset({0}))
    await faulty.execute(Statement("DROP TABLE broken"))
    assert (await flusher.append([first], frozenset({0}))).duplicates == 1
    assert await totals(faulty) == {1}


async def test_batch_begun_by_a_killed_process_is_finished_by_the_next(
    faulty: Faulty, journal: Journal, numbering: Numbering, versions: Versions
) -> None:
    await faulty.execute(Statement(FUSE))
    await faulty.execute(Statement(BROKEN_VIEW))
    killed = Flusher(faulty, journal, numbering, versions)
    with pytest.raises(NotStored):
        await killed.append([event(1), event(2)], frozenset())
    await killed.close()
    await faulty.execute(Statement("DROP TABLE broken"))
    following = Flusher(faulty, journal, numbering, versions)
    await following.append([event(3)], frozenset())
    await following.close()
    assert await totals(faulty) == {3}
    assert journal.begun() == []


async def test_unresolved_batch_is_tried_again_without_a_request(
    faulty: Faulty, flusher: Flusher, journal: Journal
) -> None:
    faulty.fail_before = 6
    with pytest.raises(NotStored):
        await flusher.append([event()], frozenset())
    await faulty.committed.wait()
    assert await totals(faulty) == {1}


async def test_requests_behind_a_batch_that_fails_hear_of_it_at_once(faulty: Faulty, flusher: Flusher) -> None:
    faulty.fail_before = 4
    first = asyncio.create_task(flusher.append([event(1)], frozenset()))
    await faulty.tried.wait()
    behind = [asyncio.create_task(flusher.append([event(n)], frozenset())) for n in (2, 3)]
    answers = await asyncio.gather(first, *behind, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotStored] * 3
    assert len(faulty.blocks) <= 5


async def test_more_than_may_wait_is_refused(faulty: Faulty, flusher: Flusher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_ROWS", 3)
    waiting = asyncio.create_task(flusher.append([event(1), event(2)], frozenset()))
    await asyncio.sleep(0)
    with pytest.raises(NotStored, match="2 events wait"):
        await flusher.append([event(3), event(4)], frozenset())
    assert (await waiting).stored == 2


async def test_concurrent_requests_share_batches(faulty: Faulty, flusher: Flusher) -> None:
    receipts = await asyncio.gather(*(flusher.append([event(n)], frozenset()) for n in range(50)))
    assert sum(receipt.stored for receipt in receipts) == 50
    assert len(faulty.blocks) < 5
    assert await totals(faulty) == {50}


async def test_hung_up_client_does_not_stop_the_others(faulty: Faulty, flusher: Flusher) -> None:
    first = asyncio.create_task(flusher.append([event(1)], frozenset()))
    second = asyncio.create_task(flusher.append([event(2)], frozenset()))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).stored == 1
    assert await totals(faulty) == {2}


async def test_closing_flushes_what_waits_and_takes_no_more(
    faulty: Faulty, journal: Journal, numbering: Numbering, versions: Versions
) -> None:
    flusher = Flusher(faulty, journal, numbering, versions)
    waiting = [asyncio.create_task(flusher.append([event(n)], frozenset())) for n in range(3)]
    await asyncio.sleep(0)
    await flusher.close()
    assert [(await task).stored for task in waiting] == [1, 1, 1]
    with pytest.raises(NotStored):
        await flusher.append([event()], frozenset())


async def test_batch_of_three_hundred_months_is_one_insert(faulty: Faulty, flusher: Flusher) -> None:
    month = 31 * 86_400_000
    events = [event(n)._replace(viewed_at=946_684_800_000 + n * month) for n in range(300)]
    assert (await flusher.append(events, frozenset())).stored == 300
    assert await totals(faulty) == {300}
