"""A reconcile sees what is wrong with a rollup, and with raw itself; a repair heals the rollup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from redis.asyncio import Redis

from clickhouse.drift import everything
from clickhouse.duplicates import flaws
from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.partitions import Partition, by_partition, partition_of
from clickhouse.reconciliations import Reconciliation, last_rebuilds, latest, standing
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.shapes import Grain
from clickhouse.spans import Span
from clickhouse.statement import Statement
from tests.conftest import NewDsn
from tests.damage import add, events, lose, store
from tests.oracle_calendar import DAY, instant
from tests.oracle_rollups import SETS, bucket_of, rollup_in, rollup_of
from workers import lease as leases
from workers.fence import Fence
from workers.reconcile import depth, reconcile, reconcile_raw
from workers.versions import Versions

STORED = events(240)
AT = STORED[0].viewed_at
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GRAIN = {grain.name: grain for grain in GRAINS}
EACH_GRAIN = pytest.mark.parametrize("grain", GRAINS, ids=lambda grain: grain.name)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


class Base:
    """A database with its events, and what reconciles it."""

    def __init__(self, engine: Engine, redis: Redis) -> None:
        self.engine, self.fence, self.versions = engine, Fence(redis), Versions(redis)

    async def reconcile(self, partition: Partition, *spans: Span, repair: bool = False) -> Reconciliation:
        asked = spans or (partition.span,)
        return await reconcile(self.engine, self.fence, self.versions, partition, asked, NOW, repair=repair)

    async def reconcile_at(self, at: int, *, repair: bool = False) -> list[Reconciliation]:
        """The partitions of all grains that hold an instant."""
        partitions = [partition_of(grain, at) for grain in sorted(GRAINS, key=depth)]
        return [await self.reconcile(one, repair=repair) for one in partitions]

    async def is_right(self, stored: Sequence[Event] = STORED) -> bool:
        held = [await rollup_in(self.engine, name) == rollup_of(name, stored) for name in SETS]
        return all(held)


@pytest.fixture(scope="module")
async def shared(new_dsn: NewDsn, redis_url: str) -> AsyncIterator[Base]:
    """One database for the tests that leave it as they found it: what they spoil, they repair."""
    engine = await open_engine(Dsn.parse(new_dsn()))
    async with Redis.from_url(redis_url) as redis:
        yield await filled(engine, redis)
    await engine.close()


@pytest.fixture
async def base(engine: Engine, redis_url: str) -> AsyncIterator[Base]:
    async with Redis.from_url(redis_url) as redis:
        yield await filled(engine, redis)


async def filled(engine: Engine, redis: Redis) -> Base:
    await migrate(engine)
    await store(engine, STORED)
    return Base(engine, redis)


def in_span(events: Sequence[Event], span: Span) -> int:
    return sum(span.start <= event.viewed_at < span.end for event in events)


async def test_rollups_that_are_right_are_told_to_be(shared: Base) -> None:
    spans = await everything(shared.engine, VIEWS)
    for asked in [one for grain in GRAINS for one in by_partition(grain, spans)]:
        found = await shared.reconcile(asked, repair=True)
        assert (found.table, found.partition) == (asked.grain.table, asked.id)
        assert found.equal
        assert found.expected == found.found == in_span(STORED, asked.span)
    assert await last_rebuilds(shared.engine) == {}
    assert await shared.is_right()


@EACH_GRAIN
async def test_a_lost_partition_is_seen_and_healed(shared: Base, grain: Grain) -> None:
    partition = partition_of(grain, AT)
    await shared.engine.execute(Statement(f"ALTER TABLE {grain.table} DROP PARTITION ID '{partition.id}'"))
    expected = in_span(STORED, partition.span)
    starts = [bucket_of(grain.name, one.viewed_at) for one in STORED if in_span([one], partition.span)]

    found = await shared.reconcile(partition)
    assert (found.expected, found.found, found.wrong_views) == (expected, 0, expected * len(SETS[grain.name]))
    assert (found.wrong_buckets, found.first_wrong, found.last_wrong) == (len(set(starts)), min(starts), max(starts))
    assert found.wrong_distinct > 0

    healed = await shared.reconcile(partition, repair=True)
    assert healed.equal
    assert (healed.expected, healed.found, healed.repaired) == (expected, expected, len(set(starts)))
    assert grain.table in await last_rebuilds(shared.engine)
    assert await shared.is_right()


async def test_a_doubled_partition_is_seen_and_healed(shared: Base) -> None:
    for grain in (GRAIN["day"], GRAIN["year"]):
        partition = partition_of(grain, AT)
        await add(shared.engine, partition, f"SELECT * FROM {grain.table} WHERE _partition_id = '{partition.id}'")
        expected = in_span(STORED, partition.span)
        found = await shared.reconcile(partition)
        assert (found.expected, found.found, found.wrong_distinct) == (expected, 2 * expected, 0)
        assert (await shared.reconcile(partition, repair=True)).equal
    assert await shared.is_right()


@EACH_GRAIN
async def test_a_state_that_is_wrong_where_views_are_right(shared: Base, grain: Grain) -> None:
    """A blog that nobody viewed, in a state of each dimension set that has any; the author's is one of nobody."""
    bucket = bucket_of(grain.name, AT)
    partition = partition_of(grain, bucket)
    names = [name for name in SETS[grain.name] if name in ("total", "country", "author")]
    for name in names:
        row = f"'s', '{name}', toDateTime({bucket // 1000}, 'UTC'), '{'nobody' * (name == 'author')}'"
        state = "(site, dimension_set, bucket, author_id, blogs)"
        await add(shared.engine, partition, f"{state} SELECT {row}, groupBitmapState(toUInt32(99))")
    found = await shared.reconcile(partition)
    assert (found.wrong_views, found.wrong_buckets, found.wrong_distinct) == (0, 1, len(names))
    assert found.first_wrong == found.last_wrong == bucket
    assert (await shared.reconcile(partition, repair=True)).repaired == 1
    assert await shared.is_right()


async def test_a_distinct_count_that_is_right_by_chance_is_seen(shared: Base) -> None:
    bucket = bucket_of("day", AT)
    partition = partition_of(GRAIN["day"], bucket)
    where = f"site = 's' AND dimension_set = 'total' AND bucket = toDateTime({bucket // 1000}, 'UTC')"
    state = Statement(f"SELECT bitmapToArray(groupBitmapMergeState(blogs)) FROM views_by_day WHERE {where}")
    blogs = (await shared.engine.select(state))[0][0]
    others = ", ".join(f"toUInt32({number})" for number in [*blogs[1:], 99])
    update = f"ALTER TABLE views_by_day UPDATE blogs = bitmapBuild([{others}]) WHERE {where}"
    await shared.engine.execute(Statement(f"{update} SETTINGS mutations_sync = 2"))
    assert (await shared.reconcile(partition)).wrong_distinct == 1
    assert (await shared.reconcile(partition, repair=True)).equal
    assert await shared.is_right()


async def test_what_all_rollups_lost_alike_is_seen_in_each_and_healed(shared: Base) -> None:
    day = instant("2020-07-01T00:00:00Z")
    for grain in GRAINS:
        bucket = bucket_of(grain.name, day)
        condition = (
            f"bucket >= toDateTime({bucket // 1000}, 'UTC') AND bucket < toDateTime({(day + DAY) // 1000}, 'UTC')"
        )
        await lose(shared.engine, partition_of(grain, day), condition)
    wrong = {(one.table, one.partition) for one in await shared.reconcile_at(day) if not one.equal}
    assert wrong == {(grain.table, partition_of(grain, day).id) for grain in GRAINS}
    repaired = await shared.reconcile_at(day, repair=True)
    assert {(one.table, one.partition) for one in repaired if one.repaired} == wrong
    assert all(one.equal for one in repaired)
    assert await shared.is_right()


async def test_a_reconcile_of_another_day_does_not_hide_what_is_known_to_be_wrong(shared: Base) -> None:
    day = GRAIN["day"]
    bucket = bucket_of("day", AT)
    partition = partition_of(day, bucket)
    await lose(shared.engine, partition, f"bucket = toDateTime({bucket // 1000}, 'UTC')")
    assert not (await shared.reconcile(partition)).equal
    elsewhere = Span(bucket + 3 * DAY, bucket + 4 * DAY)
    assert not (await shared.reconcile(partition, elsewhere)).equal
    assert (await standing(shared.engine))["views_by_day"].wrong_buckets == 1
    assert (await shared.reconcile(partition, elsewhere, repair=True)).repaired == 1
    assert (await standing(shared.engine))["views_by_day"].wrong_buckets == 0


async def test_a_span_is_compared_alone(shared: Base) -> None:
    partition = partition_of(GRAIN["day"], AT)
    bucket = bucket_of("day", AT)
    await lose(shared.engine, partition, f"bucket = toDateTime({bucket // 1000}, 'UTC')")
    beside = await shared.reconcile(partition, Span(bucket + DAY, bucket + 2 * DAY))
    assert beside.equal
    assert beside.found == in_span(STORED, Span(bucket + DAY, bucket + 2 * DAY))
    assert (await shared.reconcile(partition, repair=True)).repaired == 1


@asynccontextmanager
async def ingesting(base: Base, redis_url: str, batches: Sequence[list[Event]]) -> AsyncIterator[list[Event]]:
    """Another process's flusher; what it has stored so far."""
    stored: list[Event] = []
    done = asyncio.Event()

    async def write(fence: Fence) -> None:
        for batch in batches:
            if done.is_set():
                return
            async with fence.flushing("flusher"):
                await store(base.engine, batch)
            stored.extend(batch)

    async with Redis.from_url(redis_url) as redis:
        writing = asyncio.create_task(write(Fence(redis)))
        yield stored
        done.set()
        await writing


async def test_what_is_in_flight_is_no_drift(base: Base, redis_url: str) -> None:
    batches = [events(10, seed=seed) for seed in range(100, 300)]
    async with ingesting(base, redis_url, batches) as stored:
        for _ in range(10):
            assert all(one.equal for one in await base.reconcile_at(AT, repair=True))
            if len(stored) > 50:
                break
        seen = len(stored)
    assert seen > 20, "too little came in meanwhile to show anything"
    assert await last_rebuilds(base.engine) == {}
    assert await base.is_right([*STORED, *stored])


async def test_a_repair_under_load_loses_nothing(base: Base, redis_url: str) -> None:
    spoilt = (GRAIN["quarter_hour"], GRAIN["day"], GRAIN["year"])
    for grain in spoilt:
        partition = partition_of(grain, AT)
        await add(base.engine, partition, f"SELECT * FROM {grain.table} WHERE _partition_id = '{partition.id}'")
    batches = [events(10, seed=seed) for seed in range(300, 600)]
    async with ingesting(base, redis_url, batches) as stored:
        repaired = await base.reconcile_at(AT, repair=True)
    assert all(one.equal for one in repaired)
    assert {one.table for one in repaired if one.repaired} == {grain.table for grain in spoilt}
    assert await base.is_right([*STORED, *stored])


def in_month(month: int, stored: Sequence[Event] = STORED) -> int:
    return sum(f"{datetime.fromtimestamp(one.viewed_at / 1000, UTC):%Y%m}" == str(month) for one in stored)


async def test_events_that_are_there_twice_are_counted_and_named(base: Base) -> None:
    once, twice, later = (one for one in STORED[::10][:3])  # of one day
    again = twice._replace(received_at=twice.received_at + 9 * DAY)
    # Sent after two days with another time it is an event of its own; so is one of another site.
    own = later._replace(viewed_at=later.viewed_at - later.viewed_at % DAY + 5, received_at=later.received_at + 2 * DAY)
    elsewhere = once._replace(site="t" if once.site == "s" else "s")
    await store(base.engine, [once, twice, again, own, elsewhere])

    found = await reconcile_raw(base.engine, 201912, NOW)
    assert (found.duplicates, found.found) == (3, in_month(201912) + 5)
    assert set(found.examples) == {f"{one.site} {UUID(bytes=one.event_id)}" for one in (once, twice)}
    assert (await reconcile_raw(base.engine, 202006, NOW)).equal
    assert (await standing(base.engine))["view_events"].duplicates == 3
    assert [one.partition for one in (await latest(base.engine, 10, 0))[1]] == ["201912", "202006"]


async def test_slices_of_a_month_find_what_the_whole_finds(base: Base) -> None:
    await store(base.engine, STORED[::2])
    whole, sliced = [await flaws(base.engine, 201912, size) for size in (1_000, 5)]
    assert whole.duplicates == in_month(201912, STORED[::2]) > 0
    assert (whole.duplicates, whole.events) == (sliced.duplicates, sliced.events)


async def test_blogs_that_share_a_number_are_told_of(base: Base) -> None:
    assert (await reconcile_raw(base.engine, 201912, NOW)).wrong_distinct == 0
    update = "UPDATE blog_number = 3 WHERE blog_id = 'b4' AND site = 's' SETTINGS mutations_sync = 2"
    await base.engine.execute(Statement(f"ALTER TABLE view_events {update}"))
    assert (await reconcile_raw(base.engine, 201912, NOW)).wrong_distinct == 2
