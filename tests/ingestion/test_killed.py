"""What a killed process leaves is finished by the next one, and counted once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clickhouse.rollups import EVENTS, GRAINS
from clickhouse.statement import Statement
from tests.ingestion.opened import Faulty, Open, break_view, event, mend_view, totals
from workers import flusher as module


async def test_batch_begun_by_a_killed_process_is_finished_by_the_next(faulty: Faulty, open_ingestion: Open) -> None:
    await break_view(faulty)
    killed = open_ingestion()
    await killed.accept([event(1), event(2)])
    await faulty.third_try.wait()
    await killed.accept([event(3)])
    await killed.kill()
    await mend_view(faulty)
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


async def test_doubts_of_several_dead_processes_are_all_settled(faulty: Faulty, open_ingestion: Open) -> None:
    both = [open_ingestion(), open_ingestion()]
    for number, one in enumerate(both):
        await one.append([event(number)._replace(viewed_at=1_700_000_000_000 + number * 86_400_000)])
    for number, one in enumerate(both):
        await one.kill()
        await one.doubts.add([1_700_000_000_000 + number * 86_400_000])
    await faulty.execute(Statement("ALTER TABLE views_by_day DELETE WHERE bucket > 0 SETTINGS mutations_sync = 2"))
    following = open_ingestion()
    await following.append([event(2)])
    await following.settled()
    assert await totals(faulty) == {3}
