"""Inserts and rebuilds keep apart, and neither waits for the dead."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from workers import fence as module
from workers import lease as leases
from workers.fence import BATCHES, INSERTS, Fence
from workers.lease import Away, Lost, Taken


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        await redis.delete(module._CLOSED.format(INSERTS), module._FLUSHING.format(INSERTS))
        yield redis


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    async with Redis.from_url("unix:///nowhere/valkey.sock") as redis:
        yield redis


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no Redis that is away."""
    monkeypatch.setattr(leases, "PATIENCE", 5.0)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", 1.0)
    monkeypatch.setattr(module, "LEASE", 1.0)
    monkeypatch.setattr(leases, "PATIENCE", 0.4)


async def gone(*_: object, **__: object) -> int:
    raise Away("Redis is away")


class Log:
    """Who was inside when: each asserts that none was who may not be."""

    def __init__(self) -> None:
        self.inserting = 0
        self.rebuilding = 0
        self.inserted = 0

    async def insert(self, fence: Fence, owner: str) -> None:
        async with fence.flushing(owner):
            self.inserting += 1
            for _ in range(3):
                assert not self.rebuilding
                await asyncio.sleep(0.002)
            self.inserting -= 1
            self.inserted += 1

    async def rebuild(self, fence: Fence) -> None:
        async with fence.closed():
            self.rebuilding += 1
            for _ in range(5):
                assert not self.inserting
                assert self.rebuilding == 1
                await asyncio.sleep(0.004)
            self.rebuilding -= 1


async def test_nobody_inserts_while_the_fence_is_closed(redis: Redis) -> None:
    log, done = Log(), asyncio.Event()

    async def flusher(name: str) -> None:
        fence = Fence(redis)
        while not done.is_set():
            await log.insert(fence, name)

    flushers = [asyncio.create_task(flusher(f"flusher {number}")) for number in range(4)]
    await asyncio.gather(*(log.rebuild(Fence(redis)) for _ in range(8)))
    inserted = log.inserted
    await asyncio.sleep(0.5)
    done.set()
    await asyncio.gather(*flushers)
    assert log.inserted > inserted > 0


async def test_flushers_do_not_wait_for_each_other(redis: Redis) -> None:
    one, other = Fence(redis), Fence(redis)
    async with one.flushing("one"), other.flushing("other"):
        assert await redis.zcard(module._FLUSHING.format(INSERTS)) == 2
    assert await redis.zcard(module._FLUSHING.format(INSERTS)) == 0


async def test_flushers_that_both_repair_what_they_flushed_take_turns(redis: Redis) -> None:
    log = Log()

    async def repairing(name: str) -> None:
        fence = Fence(redis)
        async with fence.flushing(name):
            async with fence.aside(name), fence.alone("work"):
                await log.rebuild(fence)
                await log.rebuild(fence)
            assert await redis.zscore(module._FLUSHING.format(INSERTS), name)

    async with asyncio.timeout(20):
        await asyncio.gather(*(repairing(f"flusher {number}") for number in range(3)))
    assert await redis.zcard(module._FLUSHING.format(INSERTS)) == 0


@pytest.mark.usefixtures("short")
async def test_a_batch_that_retries_for_long_keeps_its_mark(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN", 2.0)
    async with Fence(redis).flushing("slow"):
        with pytest.raises(Taken, match="inserting for 2 seconds"):
            async with Fence(redis).closed():
                pytest.fail("a batch was on its way")
        async with Fence(redis).flushing("other"):  # the fence is open again
            pass


@pytest.mark.usefixtures("short")
async def test_a_killed_flusher_is_waited_for_as_long_as_its_lease(redis: Redis) -> None:
    fence = Fence(redis)
    await fence._enter("killed")
    begun = time.monotonic()
    async with fence.closed():
        assert 0.5 < time.monotonic() - begun < 5


@pytest.mark.usefixtures("short")
async def test_a_killed_rebuild_holds_flushers_up_as_long_as_its_lease(redis: Redis) -> None:
    await redis.set(module._CLOSED.format(INSERTS), "killed", px=1000)
    begun = time.monotonic()
    async with Fence(redis).flushing("f"):
        assert 0.5 < time.monotonic() - begun < 5


@pytest.mark.usefixtures("short")
async def test_a_fence_is_renewed_while_it_is_needed(redis: Redis) -> None:
    async with Fence(redis).closed():
        await asyncio.sleep(2.5)
        assert await redis.get(module._CLOSED.format(INSERTS))
    assert not await redis.get(module._CLOSED.format(INSERTS))


@pytest.mark.usefixtures("short")
async def test_a_lost_fence_ends_what_is_done_under_it(redis: Redis) -> None:
    async def usurped() -> None:
        async with Fence(redis).closed():
            await redis.set(module._CLOSED.format(INSERTS), "somebody else")
            await asyncio.sleep(30)

    with pytest.raises(Lost):
        await usurped()
    assert await redis.get(module._CLOSED.format(INSERTS)) == b"somebody else"


@pytest.mark.usefixtures("short")
async def test_a_fence_that_cannot_be_renewed_is_lost(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def closed_for_long() -> None:
        async with Fence(redis).closed():
            monkeypatch.setattr(leases, "run", gone)
            await asyncio.sleep(30)

    begun = time.monotonic()
    with pytest.raises(Lost):
        await closed_for_long()
    assert time.monotonic() - begun < 5


async def test_a_lease_that_cannot_be_renewed_ends_before_another_may_have_it(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", 4.0)
    monkeypatch.setattr(leases, "PATIENCE", 1.0)
    still_ours = []

    async def held_for_long() -> None:
        async with leases.lease(redis, "readership:test:renewed", wait=0):
            monkeypatch.setattr(leases, "run", gone)
            try:
                await asyncio.sleep(60)
            finally:
                still_ours.append(await redis.exists("readership:test:renewed"))

    with pytest.raises(Lost):
        await held_for_long()
    assert still_ours == [1]


async def test_an_error_under_the_fence_opens_it(redis: Redis) -> None:
    with pytest.raises(TimeoutError, match="of its own"):
        async with Fence(redis).closed():
            raise TimeoutError("of its own")
    async with Fence(redis).flushing("f"):
        pass


async def test_a_fence_that_is_taken_says_so(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT", 0.1)
    async with Fence(redis).closed():
        with pytest.raises(Taken):
            async with Fence(redis).closed():
                pytest.fail("two rebuilds at once")


async def test_one_rebuild_of_a_partition_at_a_time_and_inserts_go_on(redis: Redis) -> None:
    async with Fence(redis).alone("one"), Fence(redis).alone("other"), Fence(redis).flushing("f"):
        with pytest.raises(Taken):
            async with Fence(redis).alone("one", wait=0.1):
                pytest.fail("two rebuilds of one partition")


async def test_without_redis_batches_go_on_and_rebuilds_wait(away: Redis, caplog: pytest.LogCaptureFixture) -> None:
    fence = Fence(away)
    with caplog.at_level(logging.WARNING, module.__name__):
        for _ in range(50):
            async with fence.flushing("f"):
                pass
    assert len(caplog.records) == 1
    with pytest.raises(Away, match="Redis is away"):
        async with fence.closed():
            pytest.fail("not without a fence")


@pytest.mark.usefixtures("short")
async def test_a_batch_begun_without_redis_is_marked_when_redis_is_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.1)
    back = Fence._run
    monkeypatch.setattr(Fence, "_run", gone)
    async with Fence(redis).flushing("early"):
        monkeypatch.setattr(Fence, "_run", back)
        await asyncio.sleep(1)
        assert await redis.zscore(module._FLUSHING.format(INSERTS), "early")
    assert await redis.zcard(module._FLUSHING.format(INSERTS)) == 0


async def test_who_waits_for_others_to_pass_keeps_none_out_and_waits_for_no_later_one(redis: Redis) -> None:
    fence = Fence(redis, BATCHES)
    async with fence.flushing("before"):
        passing = asyncio.create_task(Fence(redis, BATCHES).passed())
        async with asyncio.timeout(10), fence.flushing("after"):
            pass
        later = fence.flushing("later")
        await later.__aenter__()
        assert not passing.done()
    await asyncio.wait_for(passing, 10)
    await later.__aexit__(None, None, None)


async def test_who_never_passes_is_named_after_a_while(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN", 0.1)
    fence = Fence(redis, BATCHES)
    async with fence.flushing("stuck"):
        with pytest.raises(Taken):
            await fence.passed()
    await fence.passed()
