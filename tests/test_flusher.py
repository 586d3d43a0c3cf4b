"""The way from accepted to committed when the engine fails on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import uuid4

import pytest

from clickhouse.engine import Engine, Row
from clickhouse.errors import Unavailable
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.render import Statement
from clickhouse.rollups import GRAINS
from workers import flusher as module
from workers.flusher import Flusher, NotStored


def event(number: int = 0, site: str = "s") -> Event:
    now = int(time.time() * 1000)
    return Event(uuid4().bytes, site, f"b{number}", "u", "ET", number, now, now, "", "")


class Faulty:
    """An engine whose inserts fail first, before or after they are carried out."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fail_before = 0
        self.fail_after = 0
        self.blocks: list[bytes] = []
        self.third_try = asyncio.Event()

    async def select(self, statement: Statement) -> list[Row]:
        return await self.engine.select(statement)

    async def execute(self, statement: Statement) -> None:
        await self.engine.execute(statement)

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        self.blocks.append(block)
        if len(self.blocks) == 3:
            self.third_try.set()
        if self.fail_before:
            self.fail_before -= 1
            raise Unavailable("the connection was refused")
        await self.engine.insert(table, columns, block, settings)
        if self.fail_after:
            self.fail_after -= 1
            raise Unavailable("the answer got lost")

    async def close(self) -> None:
        await self.engine.close()


@pytest.fixture
async def faulty(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.01, 0.01))
    await migrate(engine)
    return Faulty(engine)


@pytest.fixture
async def flusher(faulty: Faulty) -> AsyncIterator[Flusher]:
    flusher = Flusher(faulty)
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
    await faulty.execute(Statement("CREATE TABLE fuse (x UInt8) ENGINE = Memory"))
    await faulty.execute(
        Statement(
            "CREATE MATERIALIZED VIEW broken TO fuse AS"
            " SELECT toUInt8(throwIf(e.site = 's', 'on purpose')) AS x FROM view_events AS e"
        )
    )
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.05,) * 100)
    waiting = asyncio.create_task(flusher.append([event(n) for n in range(3)], frozenset()))
    await faulty.third_try.wait()
    await faulty.execute(Statement("DROP TABLE broken"))
    assert (await waiting).stored == 3
    assert len(set(faulty.blocks)) == 1
    assert await totals(faulty) == {3}


async def test_engine_that_stays_away_is_told_and_the_next_batch_works(faulty: Faulty, flusher: Flusher) -> None:
    faulty.fail_before = 4
    with pytest.raises(NotStored):
        await flusher.append([event()], frozenset())
    await flusher.append([event()], frozenset())
    assert await totals(faulty) == {1}


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


async def test_closing_flushes_what_waits_and_takes_no_more(faulty: Faulty) -> None:
    flusher = Flusher(faulty)
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
