"""The way from accepted to committed when the engine fails on it."""

from __future__ import annotations

import asyncio
import os

import pytest

from clickhouse.blogs import Blog, upsert_blogs
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement
from tests.ingestion.opened import Faulty, Ingestion, Open, break_view, event, mend_view, totals
from workers.intake import Receipt
from workers.spool.spool import Limits, NotTaken


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
    await break_view(faulty)
    waiting = asyncio.create_task(ingestion.append([event(n) for n in range(3)]))
    await faulty.third_try.wait()
    await mend_view(faulty)
    assert (await waiting).stored
    assert len(set(faulty.blocks)) == 1
    assert await totals(faulty) == {3}


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


async def test_fault_of_ours_in_an_insert_ends_nothing(faulty: Faulty, ingestion: Ingestion) -> None:
    faulty.surprise = RuntimeError("out of the blue")
    waiting = asyncio.create_task(ingestion.append([event(1)]))
    await faulty.third_try.wait()
    assert ingestion.flusher.status.failing
    faulty.surprise = None
    assert (await waiting).stored
    assert await totals(faulty) == {1}
