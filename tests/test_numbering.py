"""Every blog has one number, whoever gives it, and no two blogs of a site share one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from clickhouse.engine import Engine
from clickhouse.migrate import migrate
from clickhouse.numbers import find_numbers, keep_numbers
from tests.service import Service
from workers.numbering import Numbering


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    async with Redis.from_url("unix:///nowhere/valkey.sock") as redis:
        yield redis


def blogs(*names: object, site: str = "s") -> list[tuple[str, str]]:
    return [(site, str(name)) for name in names]


async def test_numbers_are_dense_per_site_and_kept(engine: Engine, redis: Redis) -> None:
    await migrate(engine)
    first = await Numbering(engine, redis).of([*blogs("b", "a"), *blogs("a", site="t")])
    assert first == {("s", "a"): 0, ("s", "b"): 1, ("t", "a"): 0}
    restarted = await Numbering(engine, redis).of(blogs("c", "b", "a"))
    assert restarted == {("s", "a"): 0, ("s", "b"): 1, ("s", "c"): 2}


async def test_processes_that_meet_the_same_new_blogs_agree(engine: Engine, redis: Redis) -> None:
    await migrate(engine)
    processes = [Numbering(engine, redis) for _ in range(4)]
    for round_ in range(5):
        keys = [blogs(*range(round_, round_ + 7), process) for process in range(4)]
        found = await asyncio.gather(*(one.of(asked) for one, asked in zip(processes, keys, strict=True)))
        held = await find_numbers(engine, {key for asked in keys for key in asked})
        assert all(held[key] == number for numbers in found for key, number in numbers.items())
    everything = await find_numbers(engine, blogs(*range(20), *range(4)))
    assert sorted(everything.values()) == list(range(len(everything)))


async def test_without_redis_every_process_gives_the_same_number(engine: Engine, redis: Redis, away: Redis) -> None:
    await migrate(engine)
    before = await Numbering(engine, redis).of(blogs("old"))
    one, other = Numbering(engine, away), Numbering(engine, away)
    found = await one.of(blogs("old", "new", "newer"))
    assert found == await other.of(blogs("old", "new", "newer"))
    assert found[("s", "old")] == before[("s", "old")] == 0
    assert len(set(found.values())) == 3
    # Back again, dense numbers go on where they were.
    assert (await Numbering(engine, redis).of(blogs("new", "newest")))[("s", "newest")] == 1


async def test_a_blog_written_down_twice_keeps_its_smaller_number(engine: Engine, redis: Redis) -> None:
    await migrate(engine)
    await keep_numbers(engine, {("s", "a"): 7})
    await keep_numbers(engine, {("s", "a"): 3})
    assert await Numbering(engine, redis).of(blogs("a")) == {("s", "a"): 3}


async def test_distinct_blogs_are_exact_beyond_what_a_sketch_could(service: Service, site: str) -> None:
    """70,000 blogs: uniq's states are exact up to 65,536."""
    for start in range(0, 70_000, 35_000):
        await service.post(
            [{"site": site, "blog_id": n, "viewed_at": "2024-03-10T10:00Z"} for n in range(start, start + 35_000)]
        )
    for distinct in ("approx", "exact"):
        rows = await service.ask("/api/analytics/performance", site=site, compare="year", distinct=distinct)
        assert [(row["blogs"], row["y"]) for row in rows["results"]] == [(70_000, 70_000)]
