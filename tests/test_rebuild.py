"""A spoilt rollup is named, and nothing else is; rebuilt, it holds what plain Python makes of the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from clickhouse import rebuild
from clickhouse.drift import Drift, compare, drift, everything
from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.errors import StillDrifting
from clickhouse.events import Event
from clickhouse.instants import from_epoch_ms
from clickhouse.migrate import migrate
from clickhouse.origins import Recipe
from clickhouse.partitions import Partition, partition_of
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.shapes import DAY, Grain
from clickhouse.spans import days_of
from clickhouse.statement import Statement
from tests.conftest import NewDsn
from tests.damage import add, events, lose, parts, store
from tests.oracle_calendar import instant
from tests.oracle_rollups import SETS, bucket_of, rollup_in, rollup_of

STORED = events(240)
EACH_GRAIN = pytest.mark.parametrize("grain", GRAINS, ids=lambda grain: grain.name)
HOUR, DAYS, YEAR = GRAINS[1], GRAINS[3], GRAINS[-1]


@pytest.fixture(scope="module")
async def filled(new_dsn: NewDsn) -> AsyncIterator[Engine]:
    """One database for the tests that leave it as they found it: what they spoil, they rebuild."""
    engine = await open_engine(Dsn.parse(new_dsn()))
    await fill(engine)
    for grain in GRAINS:
        # One part a partition: from now on nothing merges, and whoever replaces a part is seen.
        await engine.execute(Statement(f"OPTIMIZE TABLE {grain.table} FINAL"))
    yield engine
    await engine.close()


async def fill(engine: Engine) -> None:
    await migrate(engine)
    await store(engine, STORED[:100])
    await store(engine, STORED[100:])


async def rebuilt(engine: Engine, partition: Partition) -> None:
    recipe = Recipe(partition)
    await rebuild.begin(engine, partition)
    built = await rebuild.build(engine, recipe)
    await rebuild.catch_up(engine, recipe, built)
    await rebuild.swap(engine, partition)
    await rebuild.end(engine, partition)


async def found(engine: Engine, stored: Sequence[Event] = STORED) -> list[Drift]:
    """Over all time, and over the touched days alike: all days are touched."""
    over_all = await drift(engine, VIEWS, await everything(engine, VIEWS))
    assert over_all == await drift(engine, VIEWS, days_of(event.viewed_at for event in stored))
    return over_all


async def assert_right(engine: Engine, stored: Sequence[Event] = STORED) -> None:
    for grain in GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, stored), grain.name
    assert await drift(engine, VIEWS, await everything(engine, VIEWS)) == []


async def heal(engine: Engine, partition: Partition) -> None:
    """Rebuilds it, and touches nothing else."""
    before = await parts(engine)
    await rebuilt(engine, partition)
    await assert_right(engine)
    after = await parts(engine)
    spoilt, left_over = (partition.grain.table, partition.id), (partition.staging, partition.id)
    assert left_over not in after
    after.pop(spoilt, None)
    assert after == {key: names for key, names in before.items() if key not in (spoilt, left_over)}


def views(grain: Grain, bucket: int) -> int:
    return sum(bucket_of(grain.name, event.viewed_at) == bucket for event in STORED)


def is_bucket(bucket: int) -> str:
    return f"bucket = toDateTime({bucket // 1000}, 'UTC')"


async def test_views_make_what_plain_python_makes_and_nothing_drifts(filled: Engine) -> None:
    await assert_right(filled)
    assert await drift(filled, VIEWS, []) == []


async def test_an_empty_database_does_not_drift(engine: Engine) -> None:
    await migrate(engine)
    assert await everything(engine, VIEWS) == []
    assert await drift(engine, VIEWS, days_of([instant("2020-01-01T00:00:00Z")])) == []


@EACH_GRAIN
async def test_lost_buckets(filled: Engine, grain: Grain) -> None:
    bucket = bucket_of(grain.name, STORED[14].viewed_at)
    partition = partition_of(grain, bucket)
    await lose(filled, partition, is_bucket(bucket))
    assert await found(filled) == [Drift(partition, (bucket,), len(SETS[grain.name]) * views(grain, bucket), 0)]
    await heal(filled, partition)


@EACH_GRAIN
async def test_a_lost_partition(filled: Engine, grain: Grain) -> None:
    partition = partition_of(grain, STORED[0].viewed_at)
    await filled.execute(Statement(f"ALTER TABLE {grain.table} DROP PARTITION ID '{partition.id}'"))
    assert [one.partition for one in await found(filled)] == [partition]
    await heal(filled, partition)


@EACH_GRAIN
async def test_a_dimension_set_that_is_doubled(filled: Engine, grain: Grain) -> None:
    bucket = bucket_of(grain.name, STORED[7].viewed_at)
    partition = partition_of(grain, bucket)
    doubled = f"SELECT * FROM {grain.table} WHERE dimension_set = '{SETS[grain.name][-1]}' AND {is_bucket(bucket)}"
    await add(filled, partition, doubled)
    once = views(grain, bucket)
    assert await found(filled) == [Drift(partition, (bucket,), once, 2 * once)]
    await heal(filled, partition)


@EACH_GRAIN
async def test_views_of_nothing(filled: Engine, grain: Grain) -> None:
    bucket = bucket_of(grain.name, instant("1999-05-05T05:05:00Z"))
    partition = partition_of(grain, bucket)
    await add(filled, partition, f"(site, bucket, views) SELECT 's', toDateTime({bucket // 1000}, 'UTC'), 7")
    named = [Drift(partition, (bucket,), 0, 7)]
    assert await drift(filled, VIEWS, await everything(filled, VIEWS)) == named
    assert await drift(filled, VIEWS, days_of([bucket])) == named
    assert await drift(filled, VIEWS, days_of([bucket + 400 * DAY])) == []
    await heal(filled, partition)
    assert (grain.table, partition.id) not in await parts(filled)


async def test_views_of_a_set_that_the_grain_does_not_hold(filled: Engine) -> None:
    bucket = bucket_of("hour", STORED[0].viewed_at)
    partition = partition_of(HOUR, bucket)
    added = f"(site, dimension_set, bucket, views) SELECT 's', 'author', toDateTime({bucket // 1000}, 'UTC'), 2"
    await add(filled, partition, added)
    assert await found(filled) == [Drift(partition, (bucket,), 0, 2)]
    await heal(filled, partition)


async def test_states_without_a_view_are_healed_though_no_count_shows_them(filled: Engine) -> None:
    bucket = bucket_of("day", STORED[0].viewed_at)
    partition = partition_of(DAYS, bucket)
    added = f"(site, bucket, blogs) SELECT 's', toDateTime({bucket // 1000}, 'UTC'), groupBitmapState(toUInt32(99))"
    await add(filled, partition, added)
    assert await rollup_in(filled, "day") != rollup_of("day", STORED)
    await heal(filled, partition)


async def test_what_all_rollups_lost_alike_is_found_in_each(filled: Engine) -> None:
    # A coarse grain agrees with the finer one it is made from; raw alone knows better.
    day = instant("2020-07-01T00:00:00Z")
    partitions = [partition_of(grain, day) for grain in GRAINS]
    for partition in partitions:
        bucket = bucket_of(partition.grain.name, day)
        within = f"bucket >= toDateTime({bucket // 1000}, 'UTC') AND bucket < toDateTime({(day + DAY) // 1000}, 'UTC')"
        await lose(filled, partition, within)
    assert [one.partition for one in await found(filled)] == partitions
    for partition in partitions:
        await rebuilt(filled, partition)
    await assert_right(filled)


async def test_a_finer_grain_that_was_wrong_elsewhere_accuses_no_other(filled: Engine) -> None:
    partition = partition_of(GRAINS[5], instant("2020-01-01T00:00:00Z"))
    await lose(filled, partition, "bucket = '2020-01-01 00:00:00'")
    assert await drift(filled, VIEWS, days_of([instant("2020-06-30T12:00:00Z")])) == []
    await heal(filled, partition)


async def test_events_that_come_in_while_staging_is_built_are_in_it(engine: Engine) -> None:
    await fill(engine)
    late = events(70, seed=2)
    for number, grain in enumerate(GRAINS):
        partition = partition_of(grain, instant("2020-12-31T00:00:00Z"))
        await rebuild.begin(engine, partition)
        left = await rebuild.build(engine, Recipe(partition))
        await store(engine, late[number * 10 : number * 10 + 10])
        await rebuild.catch_up(engine, Recipe(partition), left)
        assert await compare(engine, partition, table=partition.staging) is None
        await rebuild.swap(engine, partition)
        await rebuild.end(engine, partition)
    await assert_right(engine, [*STORED, *late])


async def test_progress_counts_events_month_by_month(filled: Engine) -> None:
    told: list[int] = []
    partition = Partition(DAYS, "2020")
    await rebuild.begin(filled, partition)
    await rebuild.build(filled, Recipe(partition), told.append)
    await rebuild.end(filled, partition)
    days = [from_epoch_ms(event.viewed_at) for event in STORED]
    last = max(day for day in days if day.year == 2020).date()
    # The last day is left for the fence; a month that holds it and others is read but for that.
    months = Counter(day.month for day in days if day.year == 2020)
    read = {day.month for day in days if day.year == 2020 and day.date() < last}
    assert told == sorted(told)
    assert told[-1] == sum(months[month] for month in read)


@pytest.mark.parametrize("done", range(5))
async def test_a_rebuild_cut_off_after_any_step_is_begun_again(filled: Engine, done: int) -> None:
    partition = Partition(YEAR, "202")
    await lose(filled, partition, "bucket = '2020-01-01 00:00:00'")
    wrong = await rollup_in(filled, "year")
    await rebuild.begin(filled, partition)
    if done > 0:
        built = await rebuild.build(filled, Recipe(partition))
        if done > 1:
            await rebuild.catch_up(filled, Recipe(partition), built)
    if done > 2:
        await rebuild.swap(filled, partition)
    if done > 3:
        await rebuild.end(filled, partition)
    assert await rollup_in(filled, "year") == (wrong if done < 3 else rollup_of("year", STORED))
    await heal(filled, partition)


async def test_staging_that_cannot_be_made_equal_is_not_put_in_place(
    filled: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = Partition(DAYS, "2020")
    await rebuild.begin(filled, partition)
    left = await rebuild.build(filled, Recipe(partition))

    async def nothing(*_: object) -> None: ...

    with monkeypatch.context() as broken:
        broken.setattr(rebuild, "fill", nothing)
        with pytest.raises(StillDrifting):
            await rebuild.catch_up(filled, Recipe(partition), left)
    await rebuild.end(filled, partition)
