"""Events that wait somewhere when their deletion is asked for are dropped there, and those beside them are not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clickhouse.deletion import Deletion, Of, write_down
from clickhouse.statement import Statement
from tests.ingestion.opened import Faulty, Ingestion, Open, break_view, event, mend_view, totals
from tests.jobs_by_hand import Hands
from workers.fence import BATCHES, Fence
from workers.jobs import deleting


def of_blog(number: int) -> Deletion:
    return Deletion("s", Of.BLOG, f"b{number}", int(time.time() * 1000))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        await redis.delete(f"readership:{{{BATCHES}}}:flushing")
        yield redis


async def test_in_the_spool(faulty: Faulty, ingestion: Ingestion) -> None:
    gone = event(1)
    receipt = await ingestion.accept([gone, event(2)], frozenset({0, 1}))
    assert receipt.accepted == 2
    await write_down(faulty, of_blog(1))
    await ingestion.append([event(3)])
    assert await totals(faulty) == {2}
    # Its id was forgotten with it.
    again = gone._replace(received_at=gone.received_at + 10_000)
    assert (await ingestion.append([again], frozenset({0}))).duplicates == 0
    assert await totals(faulty) == {3}


async def test_in_a_batch_that_a_killed_process_left_half_stored(faulty: Faulty, open_ingestion: Open) -> None:
    await break_view(faulty)
    killed = open_ingestion()
    await killed.accept([event(1), event(2)])
    await faulty.third_try.wait()
    await killed.kill()
    await mend_view(faulty)
    await write_down(faulty, of_blog(1))
    # What the half had of it goes, as the job would see to.
    await faulty.execute(Statement("ALTER TABLE view_events DELETE WHERE blog_id = 'b1' SETTINGS mutations_sync = 2"))
    following = open_ingestion()
    await following.append([event(4)])
    await following.settled()
    assert await totals(faulty) == {2}


async def test_all_of_such_a_batch(faulty: Faulty, open_ingestion: Open) -> None:
    faulty.fail_before = 1_000_000
    killed = open_ingestion()
    await killed.accept([event(1)])
    await faulty.third_try.wait()
    await killed.kill()
    await write_down(faulty, of_blog(1))
    faulty.fail_before = 0
    following = open_ingestion()
    await following.append([event(4)])
    assert await totals(faulty) == {1}
    await following.kill()
    await open_ingestion().append([event(5)])
    assert await totals(faulty) == {2}


async def test_in_a_dead_letter(faulty: Faulty, ingestion: Ingestion) -> None:
    await faulty.execute(Statement("ALTER TABLE view_events ADD CONSTRAINT fine CHECK site != 's'"))
    receipt = await ingestion.append([event(1), event(2)])
    assert not receipt.stored
    await faulty.execute(Statement("ALTER TABLE view_events DROP CONSTRAINT fine"))
    await write_down(faulty, of_blog(1))
    await ingestion.flusher.retry(ingestion.dead_letters.read(ingestion.dead_letters.summaries()[0].id))
    assert await totals(faulty) == {1}


async def test_a_deletion_waits_for_a_batch_on_its_way(faulty: Faulty, ingestion: Ingestion, redis: Redis) -> None:
    faulty.fail_before = 1_000_000
    await ingestion.accept([event(1), event(2)])
    await faulty.tried.wait()
    hands = Hands(faulty, redis)
    finding = asyncio.create_task(hands.finish(await deleting.request(hands.ledger, faulty, of_blog(1))))
    passing = asyncio.create_task(Fence(redis, BATCHES).passed())
    await asyncio.wait([passing], timeout=0.2)
    assert not passing.done()
    faulty.fail_before = 0
    await finding
    assert await totals(faulty) == {1}
