"""What Redis lost is never vouched for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from clickhouse.blocks import insert
from clickhouse.engine import Engine
from clickhouse.events import Event, freeze
from clickhouse.migrate import migrate
from tests.claims.processes import MARKER, WINDOW, NewClaims, claimed, held, ids, process, since_now, standing
from workers.claims import Claims
from workers.queue import open_queue
from workers.wanted import Wanted


async def test_a_new_deployment_is_complete_from_the_start(start: NewClaims) -> None:
    one = start()
    assert (await claimed(one, ("a", ids(1)))).standing.since == 0
    assert (await standing(start())).since == 0


async def test_a_redis_that_is_new_to_old_data_is_complete_from_now(redis: Redis, tmp_path: Path) -> None:
    assert since_now(await standing(process(redis, tmp_path, received=True)))


async def test_whether_anything_came_in_is_asked_of_clickhouse(engine: Engine, redis: Redis, tmp_path: Path) -> None:
    await migrate(engine)
    now = int(time.time() * 1000)
    for received, expected in ((now - 2 * WINDOW, True), (now - WINDOW + 1000, False)):
        event = Event(uuid4().bytes, "s", "b", "", "", 0, 0, received, "", "")
        await insert(engine, freeze(str(uuid4()), [event], {("s", "b"): 0}))
        await redis.flushall()
        assert ((await standing(Claims(redis, engine, tmp_path / "missed"))).since == 0) == expected


async def test_flushall_is_noticed_by_the_next_claim(start: NewClaims, redis: Redis) -> None:
    one, other = start(), start()
    before = await claimed(one, ("a", ids(1)))
    await standing(other)
    await redis.flushall()
    after = await claimed(other, ("b", ids(1)))
    assert after.held == [frozenset()], "nobody knows any more"
    assert since_now(after.standing)
    assert after.standing.era != before.standing.era
    assert await held(one, ("a", ids(1))) == [{0}], "claimed again because of the era, it is found"


async def test_a_process_that_knew_more_than_a_new_marker_says_so(start: NewClaims, redis: Redis) -> None:
    old, new = start(), start()
    await claimed(old, ("a", ids(1)))
    await redis.flushall()
    assert (await standing(new)).since == 0, "it found nothing in ClickHouse, as nothing is flushed yet"
    assert since_now(await standing(old))
    assert since_now(await standing(new))


async def away(claims: Claims) -> None:
    assert await claims.claim([Wanted(b"a", ids(1))]) is None
    assert await claims.standing() is None


async def test_what_was_accepted_without_redis_raises_the_marker(
    redis: Redis, start: NewClaims, tmp_path: Path
) -> None:
    assert (await standing(start())).since == 0
    async with Redis.from_url("unix:///nowhere/valkey.sock") as nowhere:
        await away(process(nowhere, tmp_path))
    assert (tmp_path / "missed").exists()
    # Killed, and started again when Redis is back.
    again = await claimed(process(redis, tmp_path), ("b", ids(2)))
    assert since_now(again.standing)
    assert not (tmp_path / "missed").exists()
    last = await standing(start())
    assert last.since == again.standing.since
    assert last.era == again.standing.era


async def test_a_first_claim_without_redis_is_known_when_it_comes(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "missed").touch()
    assert since_now(await standing(process(redis, tmp_path)))


@pytest.mark.parametrize(("persistent", "closed"), [(True, True), (True, False), (False, True)])
async def test_redis_stopped_and_started_again(tmp_path: Path, persistent: bool, closed: bool) -> None:
    """With an append-only file that was closed nothing is lost; without, what it brings back is not believed."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncExitStack())
        admin = await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        redis = await stack.enter_async_context(Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")))
        one, other = process(redis, tmp_path), process(redis, tmp_path)
        before = await claimed(one, ("a", ids(1)))
        assert before.standing.since == 0
        if closed:
            await one.close()
        if not persistent:
            await admin.save()
            await admin.config_set("appendonly", "no")
        await server.aclose()
        assert await other.standing() is None

        admin = await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        if not persistent:
            await admin.config_set("appendonly", "no")
        again = await claimed(other, ("b", ids(1)))
        assert again.held == [{0}]
        assert (again.standing.since == 0) == (persistent and closed)
        assert again.standing.era != before.standing.era
        assert await held(one, ("a", ids(1))) == [set()]


async def test_a_killed_redis_is_not_believed(tmp_path: Path) -> None:
    """A close before the last claim says nothing."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncExitStack())
        admin = await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        redis = await stack.enter_async_context(Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")))
        claims = process(redis, tmp_path)
        await claims.close()
        await claimed(claims, ("a", ids(1)))
        os.kill((await admin.info("server"))["process_id"], signal.SIGKILL)
        await server.aclose()
        await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        assert since_now(await standing(process(redis, tmp_path)))


async def test_a_replica_that_took_over_is_complete_from_then_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        first, second = [
            await stack.enter_async_context(open_queue(None, tmp_path / name)) for name in ("first", "second")
        ]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        await first.config_set("repl-diskless-sync-delay", 0)
        await first.config_set("port", port)
        before = await claimed(process(first, tmp_path), ("a", ids(1)))
        assert before.standing.since == 0
        await second.replicaof("127.0.0.1", port)
        while not await second.exists(MARKER):  # noqa: ASYNC110 - Redis has no event for it
            await asyncio.sleep(0.05)
        await second.replicaof("NO", "ONE")
        after = await claimed(process(second, tmp_path), ("b", ids(1)))
        assert after.held == [{0}]
        assert since_now(after.standing)


async def test_a_redis_killed_between_claims_costs_no_event(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncExitStack())
        await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        redis = await stack.enter_async_context(Redis(unix_socket_path=str(tmp_path / "valkey" / "valkey.sock")))
        claims = process(redis, tmp_path)
        await claimed(claims, ("a", ids(1)))
        await server.aclose()
        await away(claims)
        await server.enter_async_context(open_queue(None, tmp_path / "valkey"))
        back = await claimed(claims, ("a", ids(1)), ("b", ids(1)))
        assert back.held == [set(), {0}]
        assert since_now(back.standing)


async def test_a_redis_that_may_drop_keys_vouches_for_nothing(
    start: NewClaims, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    claims = start()
    assert (await standing(claims)).since == 0
    try:
        await redis.config_set("maxmemory", 10**9)
        assert (await standing(claims)).since == 0, "full, it refuses"
        await redis.config_set("maxmemory-policy", "volatile-lru")
        with caplog.at_level(logging.WARNING, "workers.claims"):
            for _ in range(3):
                found = await standing(claims)
                assert not found.vouches_for(found.now, found.now)
        assert len([record for record in caplog.records if "drop keys" in record.message]) == 1
        assert await held(claims, ("a", ids(1)), ("b", ids(1))) == [set(), {0}]
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.config_set("maxmemory", 0)
    assert (await standing(claims)).since == 0


async def test_a_redis_that_is_full_is_away(start: NewClaims, redis: Redis) -> None:
    claims = start()
    await claimed(claims, ("a", ids(1)))
    try:
        await redis.config_set("maxmemory", 1)
        assert await claims.claim([Wanted(b"b", ids(2))]) is None
    finally:
        await redis.config_set("maxmemory", 0)
    assert since_now(await standing(claims))


async def test_a_note_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    async with Redis.from_url("unix:///nowhere/valkey.sock") as nowhere:
        await away(process(nowhere, tmp_path / "missing"))
