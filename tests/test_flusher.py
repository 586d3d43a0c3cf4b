"""The way from accepted to committed when the engine fails on it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from clickhouse.blogs import Blog, upsert_blogs
from clickhouse.engine import Engine, Row
from clickhouse.errors import Unavailable
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS, GRAINS, VIEWS
from clickhouse.statement import Statement
from workers import flusher as module
from workers.claims import Claims
from workers.dead_letters import DeadLetters
from workers.doubt import Doubts
from workers.fence import BATCHES, Fence
from workers.flusher import Flusher
from workers.intake import Intake, Receipt
from workers.metrics import Metrics
from workers.numbering import Numbering
from workers.preparing import PreparingEvents
from workers.spool.folders import take
from workers.spool.spool import Limits, NotTaken, Spool
from workers.versions import Versions
from workers.writing import WRITING_EVENTS

LIMITS = Limits(bytes=2**30, age_seconds=3_600, free_bytes=0)


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
        self.surprise: Exception | None = None
        self.swallow: list[str] = []
        """What happens to tables before an answer gets lost."""
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
        if self.surprise is not None:
            raise self.surprise
        if self.fail_before:
            self.fail_before -= 1
            raise Unavailable("the connection was refused")
        await self.engine.insert(table, columns, block, settings)
        if self.fail_after:
            self.fail_after -= 1
            for statement in self.swallow:
                await self.execute(Statement(f"{statement} SETTINGS mutations_sync = 2"))
            raise Unavailable("the answer got lost")
        self.committed.set()

    async def close(self) -> None:
        await self.engine.close()


@pytest.fixture
async def faulty(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(module, "RETRY_DELAYS", (0.0, 0.01, 0.01))
    await migrate(engine)
    return Faulty(engine)


class Ingestion:
    """A spool, what flushes it, and the way in; a killed one leaves its folder as a dead process does."""

    def __init__(self, engine: Faulty, redis: Redis, folder: Path, limits: Limits = LIMITS) -> None:
        self.metrics = Metrics()
        self.dead_letters = DeadLetters(folder / "dead-letters")
        self.spools = [Spool(each, limits, self.metrics.fsync_seconds.observe) for each in take(folder / "spool")]
        claims = Claims(redis, engine, folder / "missed")
        preparing = PreparingEvents(engine, claims, Numbering(engine, redis))
        versions = Versions(redis)
        fence = Fence(redis)
        self.doubts = Doubts(engine, VIEWS, fence, versions, self.metrics, self.spools[-1].folder.path)
        underway = Fence(redis, BATCHES)
        self.flusher = Flusher(
            *(engine, WRITING_EVENTS, self.spools, preparing, versions, self.dead_letters),
            *(fence, underway, self.doubts, self.metrics),
        )
        self.intake = Intake(WRITING_EVENTS, self.spools[-1], claims, self.flusher, self.metrics)

    async def append(self, events: list[Event], given: frozenset[int] = frozenset()) -> Receipt:
        """Waits for the insert."""
        return await self.intake.append(events, given, wait=True)

    async def accept(self, events: list[Event], given: frozenset[int] = frozenset()) -> Receipt:
        return await self.intake.append(events, given)

    async def close(self, seconds: float = 30) -> None:
        await self.intake.close()
        await self.flusher.close(seconds)
        for spool in self.spools:
            await spool.close()

    async def settled(self) -> None:
        while self.doubts.any:  # noqa: ASYNC110 - nothing tells of it but this
            await asyncio.sleep(0.01)

    async def emptied(self) -> None:
        while self.spools[-1].bytes:  # noqa: ASYNC110 - nothing tells of it but this
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Nothing is flushed any more."""
        await self.close(0.0)


Open = Callable[..., Ingestion]


@pytest.fixture
async def open_ingestion(faulty: Faulty, redis_url: str, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Ingestion] = []
    async with Redis.from_url(redis_url) as redis:

        def open_(**given: Any) -> Ingestion:
            opened.append(Ingestion(faulty, redis, tmp_path, **given))
            return opened[-1]

        yield open_
        for one in opened:
            await one.close()


@pytest.fixture
async def ingestion(open_ingestion: Open) -> Ingestion:
    return open_ingestion()


async def totals(engine: Engine | Faulty) -> set[int]:
    """Views as raw and as every rollup has them."""
    raw = await engine.select(Statement("SELECT count() FROM view_events"))
    found = {raw[0][0]}
    for grain in GRAINS:
        sums = f"SELECT sum(views) FROM {grain.table} GROUP BY dimension_set"
        found |= {row[0] for row in await engine.select(Statement(sums))}
    return found


async def test_lost_answer_is_retried_and_counted_once(faulty: Faulty, ingestion: Ingestion) -> None:
    faulty.fail_after = 2
    receipt = await ingestion.append([event(n) for n in range(5)])
    assert (receipt.accepted, receipt.stored, len(faulty.blocks)) == (5, True, 3)
    assert await totals(faulty) == {5}


async def test_accepted_before_clickhouse_answers(faulty: Faulty, ingestion: Ingestion) -> None:
    faulty.fail_before = 1_000
    for number in range(3):
        assert await ingestion.accept([event(number)]) == Receipt(accepted=1, duplicates=0, shared=True)
    assert await totals(faulty) == {0}
    faulty.fail_before = 0
    await faulty.committed.wait()
    await ingestion.append([event(3)])
    assert await totals(faulty) == {4}


async def test_view_that_throws_for_a_while_is_healed_by_the_same_batch(faulty: Faulty, ingestion: Ingestion) -> None:
    await faulty.execute(Statement(FUSE))
    await faulty.execute(Statement(BROKEN_VIEW))
    waiting = asyncio.create_task(ingestion.append([event(n) for n in range(3)]))
    await faulty.third_try.wait()
    await faulty.execute(Statement("DROP TABLE broken"))
    assert (await waiting).stored
    assert len(set(faulty.blocks)) == 1
    assert await totals(faulty) == {3}


async def test_batch_begun_by_a_killed_process_is_finished_by_the_next(faulty: Faulty, open_ingestion: Open) -> None:
    await faulty.execute(Statement(FUSE))
    await faulty.execute(Statement(BROKEN_VIEW))
    killed = open_ingestion()
    await killed.accept([event(1), event(2)])
    await faulty.third_try.wait()
    await killed.accept([event(3)])
    await killed.kill()
    await faulty.execute(Statement("DROP TABLE broken"))
    following = open_ingestion()
    await following.append([event(4)])
    assert await totals(faulty) == {4}
    assert len(set(faulty.blocks[: len(faulty.blocks) - 1])) <= 2


async def test_batch_stored_before_a_kill_is_not_stored_again(faulty: Faulty, open_ingestion: Open) -> None:
    first = open_ingestion()
    await first.append([event(1)])
    await first.kill()
    following = open_ingestion()
    await following.append([event(2)])
    assert await totals(faulty) == {2}


async def test_spool_of_another_dead_process_is_taken_over_and_removed(
    faulty: Faulty, open_ingestion: Open, tmp_path: Path
) -> None:
    faulty.fail_before = 1_000_000
    both = [open_ingestion(), open_ingestion()]
    for number, one in enumerate(both):
        await one.accept([event(number)])
    assert len(list((tmp_path / "spool").iterdir())) == 2
    for one in both:
        await one.kill()
    faulty.fail_before = 0
    following = open_ingestion()
    await following.append([event(2)])
    assert await totals(faulty) == {3}
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [following.spools[-1].folder.name]


async def test_same_id_is_counted_once(faulty: Faulty, ingestion: Ingestion) -> None:
    one, two = event(1), event(2)
    assert (await ingestion.accept([one, one, two], frozenset({0, 1}))).duplicates == 1
    assert (await ingestion.accept([one, two], frozenset({0, 1}))).duplicates == 1
    # The id that nobody gave is the service's own and was not claimed; given now, it is new.
    assert (await ingestion.append([one], frozenset({0}))).duplicates == 1
    assert await totals(faulty) == {3}


async def test_id_sent_to_two_processes_is_counted_once(faulty: Faulty, open_ingestion: Open) -> None:
    one, other = open_ingestion(), open_ingestion()
    sent = [event(n) for n in range(20)]
    every = frozenset(range(20))
    receipts = await asyncio.gather(*(each.append(sent, every) for each in (one, other, one, other)))
    assert sum(receipt.accepted for receipt in receipts) == 20
    assert await totals(faulty) == {20}


async def test_id_of_a_record_that_a_kill_left_is_a_duplicate(faulty: Faulty, open_ingestion: Open) -> None:
    faulty.fail_before = 1_000_000
    sent = event(1)
    killed = open_ingestion()
    await killed.accept([sent], frozenset({0}))
    await killed.kill()
    following = open_ingestion()
    assert (await following.accept([sent], frozenset({0}))).duplicates == 1
    faulty.fail_before = 0
    await following.append([event(2)])
    assert await totals(faulty) == {2}


async def test_batch_refused_for_its_data_is_put_aside_and_blocks_nobody(faulty: Faulty, ingestion: Ingestion) -> None:
    await faulty.execute(Statement(f"ALTER TABLE {EVENTS} ADD CONSTRAINT no_bad CHECK site != 'bad'"))
    refused = await ingestion.append([event(1, "bad"), event(2, "bad")])
    assert refused.stored is False
    await ingestion.append([event(3)])
    assert await totals(faulty) == {1}
    letter = ingestion.dead_letters.read(ingestion.dead_letters.summaries()[0].id)
    assert (letter.rows, letter.sites, letter.code) == (2, ["bad"], 469)
    await faulty.execute(Statement(f"ALTER TABLE {EVENTS} DROP CONSTRAINT no_bad"))
    await ingestion.flusher.retry(letter)
    await ingestion.flusher.retry(letter)
    assert await totals(faulty) == {3}


async def test_full_spool_takes_nothing_until_clickhouse_has_caught_up(faulty: Faulty, open_ingestion: Open) -> None:
    faulty.fail_before = 1_000_000
    ingestion = open_ingestion(limits=Limits(bytes=2_000, age_seconds=3_600, free_bytes=0))
    accepted = 0
    while ingestion.spools[-1].bytes < 2_000:
        await ingestion.accept([event(accepted)])
        accepted += 1
    with pytest.raises(NotTaken, match="2000 bytes wait"):
        await ingestion.accept([event()])
    faulty.fail_before = 0
    await ingestion.emptied()
    await ingestion.append([event(accepted)])
    assert await totals(faulty) == {accepted + 1}


async def test_too_old_a_spool_and_too_full_a_disk_take_nothing(faulty: Faulty, open_ingestion: Open) -> None:
    faulty.fail_before = 1_000_000
    old = open_ingestion(limits=Limits(bytes=2**20, age_seconds=0.001, free_bytes=0))
    await old.accept([event()._replace(received_at=1)])
    with pytest.raises(NotTaken, match="waiting for ClickHouse for"):
        await old.accept([event()])
    full = open_ingestion(limits=Limits(bytes=2**20, age_seconds=3_600, free_bytes=2**62))
    with pytest.raises(NotTaken, match="the disk has"):
        await full.accept([event()])
    faulty.fail_before = 0


async def test_failed_fsync_acknowledges_nothing_and_leaves_nothing(
    faulty: Faulty, open_ingestion: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.fail_before = 1_000_000
    ingestion = open_ingestion()
    await ingestion.accept([event(1)])
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _fail)
        for number in (2, 3):
            with pytest.raises(NotTaken, match="the disk refuses"):
                await ingestion.accept([event(number)])
        assert ingestion.spools[-1].fault is not None
    await ingestion.accept([event(4)])
    assert ingestion.spools[-1].fault is None
    await ingestion.kill()
    faulty.fail_before = 0
    following = open_ingestion()
    await following.append([event(5)])
    rows = await faulty.select(Statement(f"SELECT groupArray(blog_id) FROM (SELECT blog_id FROM {EVENTS} ORDER BY 1)"))
    assert rows[0][0] == ["b1", "b4", "b5"]


def _fail(_: int) -> None:
    raise OSError(5, "Input/output error")


async def test_concurrent_requests_share_batches(faulty: Faulty, ingestion: Ingestion) -> None:
    receipts = await asyncio.gather(*(ingestion.append([event(n)]) for n in range(50)))
    assert sum(receipt.accepted for receipt in receipts) == 50
    assert len(faulty.blocks) < 5
    assert await totals(faulty) == {50}


async def test_events_nobody_waits_for_are_gathered(faulty: Faulty, ingestion: Ingestion) -> None:
    for number in range(20):
        await ingestion.accept([event(number)])
        await asyncio.sleep(0.005)
    await faulty.committed.wait()
    await ingestion.append([event(20)])
    assert len(faulty.blocks) <= 4
    assert await totals(faulty) == {21}


async def test_hung_up_client_does_not_stop_the_others(faulty: Faulty, ingestion: Ingestion) -> None:
    first = asyncio.create_task(ingestion.append([event(1)], frozenset({0})))
    second = asyncio.create_task(ingestion.append([event(2)], frozenset({0})))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).stored
    await ingestion.append([event(3)])
    assert await totals(faulty) == {3}


async def test_closing_flushes_what_waits_and_takes_no_more(faulty: Faulty, open_ingestion: Open) -> None:
    ingestion = open_ingestion()
    for number in range(3):
        await ingestion.accept([event(number)])
    await ingestion.close()
    assert await totals(faulty) == {3}
    with pytest.raises(NotTaken, match="stopping"):
        await ingestion.accept([event()])


async def test_batch_of_three_hundred_months_is_one_insert(faulty: Faulty, ingestion: Ingestion) -> None:
    month = 31 * 86_400_000
    events = [event(n)._replace(viewed_at=946_684_800_000 + n * month) for n in range(300)]
    assert (await ingestion.append(events)).stored
    assert (await totals(faulty), len(faulty.blocks)) == ({300}, 1)


async def test_blog_registered_a_moment_ago_gives_its_author(faulty: Faulty, ingestion: Ingestion) -> None:
    await upsert_blogs(faulty, [Blog("s", "b1", "", "ann", "", 0)])
    await ingestion.append([event(1)._replace(author_id=""), event(2)._replace(author_id="")])
    rows = await faulty.select(Statement(f"SELECT blog_id, author_id FROM {EVENTS} ORDER BY blog_id"))
    assert [tuple(row) for row in rows] == [("b1", "ann"), ("b2", "")]


async def test_table_that_swallowed_a_batch_in_doubt_is_repaired(faulty: Faulty, ingestion: Ingestion) -> None:
    """As a kill between the log of tokens and the rename of a part leaves it: every further try passes for a repeat."""
    await ingestion.append([event(1)])
    faulty.fail_after = 1
    faulty.swallow = [
        "ALTER TABLE views_by_day DELETE WHERE bucket > 0",
        f"ALTER TABLE {EVENTS} DELETE WHERE blog_id = 'b2'",
    ]
    await ingestion.append([event(2), event(3)])
    await ingestion.settled()
    assert await totals(faulty) == {3}
    faulty.fail_after = 1
    faulty.swallow = ["ALTER TABLE views_by_hour DELETE WHERE bucket > 0"]
    await ingestion.append([event(4)])
    await ingestion.settled()
    assert await totals(faulty) == {4}
    assert ingestion.metrics.registry.get_sample_value("readership_partitions_repaired_total")


async def test_batch_whose_token_may_be_forgotten_is_looked_for_before_it_is_tried_again(
    faulty: Faulty, open_ingestion: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored, the answer lost, the process killed, and ClickHouse has forgotten the token."""
    killed = open_ingestion()
    faulty.fail_after = 1_000_000
    await killed.accept([event(1), event(2)])
    await faulty.third_try.wait()
    # A server goes on with an insert whose client is gone: the last tries of this one do not reach it.
    faulty.fail_before = 1_000_000
    tried = len(faulty.blocks)
    while len(faulty.blocks) < tried + 2:  # noqa: ASYNC110 - nothing tells of it but this
        await asyncio.sleep(0.01)
    await killed.kill()
    faulty.fail_before = faulty.fail_after = 0
    for table in (EVENTS, *(grain.table for grain in GRAINS)):
        await faulty.execute(Statement(f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0"))
    monkeypatch.setattr(module, "FORGOTTEN", -1)
    following = open_ingestion()
    await following.append([event(3)])
    await following.settled()
    assert await totals(faulty) == {3}


async def test_unreadable_batch_file_means_that_every_event_is_looked_up(
    faulty: Faulty, open_ingestion: Open, tmp_path: Path
) -> None:
    first = open_ingestion()
    await first.append([event(1), event(2)])
    await first.kill()
    (found,) = (tmp_path / "spool").glob("*/batch")
    found.write_bytes(b"")
    following = open_ingestion()
    await following.append([event(3)])
    assert await totals(faulty) == {3}


async def test_doubts_of_several_dead_processes_are_all_settled(
    faulty: Faulty, open_ingestion: Open, tmp_path: Path
) -> None:
    both = [open_ingestion(), open_ingestion()]
    for number, one in enumerate(both):
        await one.append([event(number)._replace(viewed_at=1_700_000_000_000 + number * 86_400_000)])
        await one.doubts.add([1_700_000_000_000 + number * 86_400_000])
    folders = [one.spools[-1].folder.path for one in both]
    for one in both:
        await one.kill()
    assert all((folder / "doubts").exists() for folder in folders)
    await faulty.execute(Statement("ALTER TABLE views_by_day DELETE WHERE bucket > 0 SETTINGS mutations_sync = 2"))
    following = open_ingestion()
    await following.append([event(2)])
    await following.settled()
    assert await totals(faulty) == {3}


async def test_fault_of_ours_in_an_insert_ends_nothing(faulty: Faulty, ingestion: Ingestion) -> None:
    faulty.surprise = RuntimeError("out of the blue")
    waiting = asyncio.create_task(ingestion.append([event(1)]))
    await faulty.third_try.wait()
    assert ingestion.flusher.status.failing
    faulty.surprise = None
    assert (await waiting).stored
    assert await totals(faulty) == {1}
