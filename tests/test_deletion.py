"""What was asked to be deleted is gone from raw and from every rollup, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from clickhouse.deletion import Deletion, Of, covered
from clickhouse.engine import Engine
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS, GRAINS
from clickhouse.statement import Statement
from tests.damage import events, store
from tests.expiry import expire
from tests.jobs_by_hand import Hands
from tests.oracle_calendar import instant
from tests.oracle_rollups import rollup_in, rollup_of
from workers.claims import Claims
from workers.jobs import deleting
from workers.wanted import Wanted

# Few partitions: each is rebuilt.
STORED = events(200, days=("2020-02-29", "2020-06-30", "2020-12-31"))
ASKED = max(event.received_at for event in STORED) + 1

DELETIONS: list[tuple[Deletion, Callable[[Event], bool]]] = [
    (Deletion("s", Of.BLOG, "b1", ASKED), lambda event: (event.site, event.blog_id) == ("s", "b1")),
    (Deletion("s", Of.VIEWER, "7", ASKED), lambda event: (event.site, event.viewer) == ("s", 7)),
    (Deletion("s", Of.SITE, "", ASKED), lambda event: event.site == "s"),
]
EACH = pytest.mark.parametrize(
    ("deletion", "goes", "crashing"),
    [(*each, crashing) for each, crashing in zip(DELETIONS, (False, True, True), strict=True)],
    ids=[one.of.value for one, _ in DELETIONS],
)


@pytest.fixture
async def filled(engine: Engine) -> Engine:
    await migrate(engine)
    await store(engine, STORED)
    return engine


async def assert_holds(engine: Engine, expected: list[Event]) -> None:
    rows = await engine.select(Statement(f"SELECT replaceAll(toString(event_id), '-', '') FROM {EVENTS}"))
    assert sorted(row[0] for row in rows) == sorted(event.event_id.hex() for event in expected)
    for grain in GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, expected), grain.name


@EACH
async def test_its_events_are_gone_from_raw_and_every_rollup(
    filled: Engine, redis: Redis, deletion: Deletion, goes: Callable[[Event], bool], crashing: bool
) -> None:
    hands = Hands(filled, redis)
    kept = [event for event in STORED if not goes(event)]
    job = await hands.finish(await deleting.request(hands.ledger, filled, deletion), crashing=crashing)
    await assert_holds(filled, kept)
    notes = [one.note for one in job.units if one.note]
    assert notes[-1] == "no rollup differs from raw"
    assert notes[0] == f"{0 if crashing else len(STORED) - len(kept)} events were deleted"
    # Received later, they stay; a second deletion finds nothing of before, and rebuilds nothing.
    late = [
        event._replace(received_at=ASKED + 1, event_id=bytes(15) + b"%c" % at) for at, event in enumerate(STORED[:9])
    ]
    await store(filled, late)
    again = await hands.finish(await deleting.request(hands.ledger, filled, deletion))
    assert not [one for one in again.units if one.unit.task == "rebuild"]
    await assert_holds(filled, [*kept, *late])


async def test_what_has_expired_stays_counted_and_the_job_says_so(filled: Engine, redis: Redis) -> None:
    since = instant("2020-03-01T00:00:00Z")
    await expire(filled, since)
    hands = Hands(filled, redis)
    notes = []
    for deletion, _ in DELETIONS[:2]:
        job = await hands.finish(await deleting.request(hands.ledger, filled, deletion))
        notes.append(next(one.note for one in job.units if one.unit.task == "erase"))
    gone = [event for event in STORED if any(goes(event) for _, goes in DELETIONS[:2])]
    left = [event for event in STORED if event.viewed_at < since or event not in gone]
    blogs = sum(goes(event) and event.viewed_at < since for event in STORED for goes in [DELETIONS[0][1]])
    assert blogs
    assert notes[0].endswith(
        f"buckets that begin before 2020-03-01T00:00:00Z keep {blogs} views of it, as their events have expired"
    )
    assert "keep whatever they counted of it" in notes[1]
    assert await rollup_in(filled, "day") == rollup_of("day", left)
    assert await rollup_in(filled, "year") == rollup_of("year", STORED)
    # A site is known by its rows: it goes as a whole.
    await hands.finish(await deleting.request(hands.ledger, filled, DELETIONS[2][0]))
    for grain in GRAINS:
        assert {key[1] for key in await rollup_in(filled, grain.name)} == {"t"}, grain.name


async def test_rows_that_come_to_light_before_and_after_it_are_deleted_too(filled: Engine, redis: Redis) -> None:
    hands = Hands(filled, redis)
    deletion, goes = DELETIONS[0]
    # Of another year, and both from a process that nobody could wait for.
    unseen = [
        event._replace(
            event_id=bytes(15) + b"%c" % at, site="s", blog_id="b1", viewed_at=instant(f"20{10 + at}-01-05T05:05:05Z")
        )
        for at, event in enumerate(STORED[:2])
    ]
    job = await deleting.request(hands.ledger, filled, deletion)
    for event, until in zip(unseen, ("erase", "verify"), strict=True):
        while (job := await hands.ledger.find(job.id)).due(2**62)[0].unit.task != until:
            state = await hands.ledger.begin(job, job.due(2**62)[0].unit.name)
            assert state is not None
            await hands.ledger.finish(job.id, state, await hands.run(state.unit))
        await store(filled, [event])
    await hands.finish(job)
    await assert_holds(filled, [event for event in STORED if not goes(event)])


async def test_its_event_ids_are_forgotten_and_no_others(filled: Engine, redis: Redis, tmp_path: object) -> None:
    hands = Hands(filled, redis)
    deletion, goes = DELETIONS[0]
    claims = Claims(redis, filled, tmp_path / "missed")  # type: ignore[operator]
    ids = [(event.site, event.event_id) for event in STORED]
    await claims.claim([Wanted(b"first", ids)])
    asked = Deletion(deletion.site, deletion.of, deletion.key, instant("2040-01-01T00:00:00Z"))
    now = await redis.time()
    await filled.execute(
        Statement(
            f"ALTER TABLE {EVENTS} UPDATE received_at = toDateTime64({now[0]}, 3, 'UTC') WHERE 1"
            " SETTINGS mutations_sync = 2"
        )
    )
    await hands.finish(await deleting.request(hands.ledger, filled, asked))
    claimed = await claims.claim([Wanted(b"second", ids)])
    assert claimed is not None
    assert claimed.held == [frozenset(at for at, event in enumerate(STORED) if not goes(event))]


async def test_covered_is_what_was_received_before_its_deletion_was_asked_for(engine: Engine, redis: Redis) -> None:
    await migrate(engine)
    hands = Hands(engine, redis)
    assert await covered(engine, STORED) == set()
    for deletion, goes in DELETIONS:
        await deleting.request(hands.ledger, engine, deletion)
        found = await covered(engine, [*STORED, STORED[0]._replace(received_at=ASKED + 1)])
        assert {at for at, event in enumerate(STORED) if goes(event)} <= found
        assert len(STORED) not in found
    assert await covered(engine, []) == set()
