"""A partition of which some events have expired, or change while it is rebuilt, is made right all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import pytest
from redis.asyncio import Redis

from clickhouse import mutations
from clickhouse.drift import drift, everything
from clickhouse.engine import Engine
from clickhouse.errors import RawChanging, RawExpired, Unavailable
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.origins import Recipe, Source
from clickhouse.partitions import Partition, partition_of
from clickhouse.rebuild import Built, begin, build, catch_up, end
from clickhouse.rollups import EVENTS, GRAINS, VIEWS
from clickhouse.shapes import Grain
from clickhouse.spans import Span
from clickhouse.statement import Statement
from tests.damage import add, events, lose, store
from tests.expiry import expire
from tests.oracle_calendar import instant
from tests.oracle_rollups import Key, Numbers, rollup_in, rollup_of
from workers import lease as leases
from workers import rebuild as rebuilding
from workers.fence import Fence
from workers.rebuild import rebuild

DAYS, WEEKS, MONTHS, YEARS = GRAINS[3:]

# The week of 29 June and the year are cut by it.
SINCE = instant("2020-07-01T00:00:00Z")
STORED = events(120)
JUNE = events(40, seed=7, days=["2020-06-30", "2020-02-29", "2020-07-01"])


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


@pytest.fixture
async def fence(redis_url: str) -> AsyncIterator[Fence]:
    async with Redis.from_url(redis_url) as redis:
        yield Fence(redis)


@pytest.fixture
async def filled(engine: Engine) -> Engine:
    await migrate(engine)
    await store(engine, STORED)
    return engine


async def assert_right(engine: Engine, stored: Iterable[Event], grains: Sequence[Grain] = GRAINS) -> None:
    for grain in grains:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, stored), grain.name


def during(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Runs `meanwhile` whenever a rebuild has filled staging and not closed the fence yet."""

    async def building(engine: Engine, recipe: Recipe, progress: Callable[[int], None]) -> Built:
        built = await build(engine, recipe, progress)
        await meanwhile()
        return built

    monkeypatch.setattr(rebuilding, "build", building)


RECIPES = [
    # grain, partition, since, source      origins: table, sets, from, to (None: of the partition)
    (DAYS, "2020", "2020-01-01", Source.RAW, [(EVENTS, 4, "2020-01-01", "2021-01-01")]),
    (
        *(DAYS, "2020", "2020-07-01", Source.RAW),
        [("views_by_day", 4, "2020-01-01", "2020-07-01"), (EVENTS, 4, "2020-07-01", "2021-01-01")],
    ),
    (DAYS, "2020", "2022-07-01", Source.RAW, [("views_by_day", 4, "2020-01-01", "2021-01-01")]),
    (
        *(WEEKS, "2020", "2020-07-01", Source.RAW),
        [("views_by_week", 3, "2020-01-06", "2020-07-06"), (EVENTS, 3, "2020-07-06", "2021-01-04")],
    ),
    (
        *(YEARS, "202", "2020-07-01", Source.ROLLUP),
        [("views_by_day", 4, "2020-01-01", "2021-01-01"), ("views_by_day", 4, "2021-01-01", "2030-01-01")],
    ),
    (
        *(MONTHS, "2020", "2020-07-01", Source.ROLLUP),
        [
            ("views_by_day", 4, "2020-01-01", "2020-07-01"),
            ("views_by_day", 4, "2020-07-01", "2021-01-01"),
            ("views_by_month", 1, "2020-01-01", "2020-07-01"),
            (EVENTS, 1, "2020-07-01", "2021-01-01"),
        ],
    ),
]


@pytest.mark.parametrize(("grain", "id_", "since", "source", "expected"), RECIPES)
def test_what_a_partition_is_made_from(
    grain: Grain, id_: str, since: str, source: Source, expected: list[tuple[str, int, str, str]]
) -> None:
    found = Recipe(Partition(grain, id_), instant(f"{since}T00:00:00Z"), source).origins
    shown = [(one.table, len(one.dimension_sets), one.span) for one in found]
    assert shown == [
        (table, sets, Span(instant(f"{start}T00:00:00Z"), instant(f"{end}T00:00:00Z")))
        for table, sets, start, end in expected
    ]


def test_a_recipe_makes_each_bucket_of_each_set_once() -> None:
    for grain in GRAINS:
        for source in Source:
            partition = partition_of(grain, SINCE)
            spans: dict[str, list[Span]] = {}
            for origin in Recipe(partition, SINCE, source).origins:
                for one in origin.dimension_sets:
                    spans.setdefault(one.name, []).append(origin.span)
            assert set(spans) == {one.name for one in grain.dimension_sets}
            for first, *rest in spans.values():
                assert first.start == partition.span.start
                assert [first.end, *(one.end for one in rest)] == [*(one.start for one in rest), partition.span.end]


@pytest.mark.parametrize("source", Source)
async def test_expired_buckets_are_carried_over_with_what_comes_in_late(
    filled: Engine, fence: Fence, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    await expire(filled, SINCE)
    late = iter([JUNE[number * 4 : number * 4 + 4] for number in range(10)])
    stored = [*STORED]

    async def meanwhile() -> None:
        batch = next(late)
        await store(filled, batch)
        stored.extend(batch)

    during(monkeypatch, meanwhile)
    for grain in GRAINS:
        partition = partition_of(grain, SINCE)
        if grain is not YEARS:
            # What raw has is made anew; of July's first week it has but a part.
            await lose(filled, partition, f"bucket >= toDateTime({grain.ceiling(SINCE) // 1000}, 'UTC')")
        await rebuild(filled, fence, partition, source=source)
    await assert_right(filled, stored)
    assert await drift(filled, VIEWS, await everything(filled, VIEWS)) == []


async def test_clear_is_refused_where_events_have_expired_and_names_the_buckets(filled: Engine, fence: Fence) -> None:
    await expire(filled, SINCE)
    for grain, id_, source, words in (
        (
            DAYS,
            "2020",
            Source.RAW,
            r"views_by_day\[2020\] .* buckets from 2020-01-01T00:00:00Z to 2020-06-30T00:00:00Z",
        ),
        (WEEKS, "2020", Source.RAW, "2020-02-24T00:00:00Z to 2020-06-29T00:00:00Z .* total, country, author are"),
        (YEARS, "202", Source.RAW, "2020-01-01T00:00:00Z to 2020-01-01T00:00:00Z"),
        (MONTHS, "2020", Source.ROLLUP, "2020-01-01T00:00:00Z to 2020-06-01T00:00:00Z .* country_author_blog are made"),
    ):
        with pytest.raises(RawExpired, match=words):
            await rebuild(filled, fence, Partition(grain, id_), clear=True, source=source)
    await rebuild(filled, fence, Partition(YEARS, "202"), clear=True, source=Source.ROLLUP)
    await rebuild(filled, fence, Partition(DAYS, "2021"), clear=True)
    await assert_right(filled, STORED)


@pytest.mark.parametrize("grain", [WEEKS, MONTHS, YEARS], ids=lambda grain: grain.name)
async def test_from_a_rollup_the_same_is_made(filled: Engine, fence: Fence, grain: Grain) -> None:
    partition = partition_of(grain, SINCE)
    await lose(filled, partition, "1")
    await rebuild(filled, fence, partition, source=Source.ROLLUP)
    await assert_right(filled, STORED, [grain])


async def test_raw_decides_where_the_rollup_is_wrong_itself(filled: Engine, fence: Fence) -> None:
    days = partition_of(DAYS, SINCE)
    await lose(filled, days, "bucket = '2020-12-31 00:00:00' AND dimension_set = 'author'")
    await add(filled, days, "SELECT * FROM views_by_day WHERE bucket = '2020-02-29 00:00:00'")
    for grain in (WEEKS, MONTHS, YEARS):
        await rebuild(filled, fence, partition_of(grain, SINCE), source=Source.ROLLUP)
        await assert_right(filled, STORED, [grain])


async def test_staging_that_differs_from_what_it_keeps_is_found_by_bucket_and_set(filled: Engine) -> None:
    partition = partition_of(MONTHS, SINCE)
    recipe = Recipe(partition, SINCE, Source.ROLLUP)
    await begin(filled, partition)
    built = await build(filled, recipe)
    lost = "dimension_set = 'country_author_blog' AND bucket = '2020-02-01 00:00:00'"
    await lose(filled, partition, lost)
    # An event that comes into the month makes it suspect.
    await store(filled, [JUNE[0]._replace(viewed_at=instant("2020-02-29T00:00:00Z"))])
    await catch_up(filled, recipe, built)
    made = await filled.select(Statement(f"SELECT sum(views) FROM {partition.staging} WHERE {lost}"))
    assert made[0][0] == 1
    await end(filled, partition)


async def test_events_deleted_or_changed_during_a_rebuild_begin_it_anew(
    filled: Engine, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither changes a count that staging could be told by.
    changes = iter(
        [
            "ALTER TABLE view_events UPDATE author_id = 'else' WHERE author_id = 'a1'",
            "ALTER TABLE view_events UPDATE author_id = 'other' WHERE author_id = 'else'",
        ]
    )

    async def meanwhile() -> None:
        sql = next(changes, None)
        if sql:
            await filled.execute(Statement(f"{sql} SETTINGS mutations_sync = 2"))

    during(monkeypatch, meanwhile)
    await rebuild(filled, fence, Partition(DAYS, "2020"))
    renamed = [one._replace(author_id="other") if one.author_id == "a1" else one for one in STORED]
    assert in_2020(await rollup_in(filled, "day")) == in_2020(rollup_of("day", renamed))


def in_2020(rollup: dict[Key, Numbers]) -> dict[Key, Numbers]:
    first, end = (instant(f"{year}-01-01T00:00:00Z") for year in (2020, 2021))
    return {key: numbers for key, numbers in rollup.items() if first <= key[5] < end}


async def test_events_that_change_again_and_again_end_a_rebuild(
    filled: Engine, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def meanwhile() -> None:
        await filled.execute(
            Statement("ALTER TABLE view_events DELETE WHERE blog_id = 'none' SETTINGS mutations_sync = 2")
        )

    during(monkeypatch, meanwhile)
    with pytest.raises(RawChanging, match="during each of 3 rebuilds"):
        await rebuild(filled, fence, Partition(DAYS, "2020"))
    await assert_right(filled, STORED)


async def test_a_month_that_expires_during_a_rebuild_is_not_lost(
    filled: Engine, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    expirations = iter([SINCE])

    async def meanwhile() -> None:
        for since in expirations:
            await expire(filled, since)

    during(monkeypatch, meanwhile)
    for grain in (DAYS, YEARS):
        await rebuild(filled, fence, partition_of(grain, SINCE))
    await assert_right(filled, STORED)


async def test_a_mutation_that_does_not_end_is_waited_for_and_then_told_of(
    filled: Engine, fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutations, "_PATIENCE", 0.2)
    await filled.execute(
        Statement("ALTER TABLE view_events UPDATE url = toString(throwIf(1)) WHERE 1 SETTINGS mutations_sync = 0")
    )
    with pytest.raises(Unavailable, match="throwIf"):
        await rebuild(filled, fence, Partition(DAYS, "2020"))
    await filled.execute(Statement("KILL MUTATION WHERE database = currentDatabase() SYNC"))
    await rebuild(filled, fence, Partition(DAYS, "2020"))
    await assert_right(filled, STORED)
