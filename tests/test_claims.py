"""An event_id has one owner among all processes, and what Redis lost is never vouched for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from clickhouse.blocks import insert
from clickhouse.engine import Engine
from clickhouse.events import RETRY_WINDOW, Event, freeze
from clickhouse.migrate import migrate
from workers import claims as module
from workers import patience
from workers.claims import SKEW, Claimed, Claims, Standing
from workers.queue import open_queue
from workers.wanted import PORTION, Wanted

WINDOW = int(RETRY_WINDOW.total_seconds() * 1000)
MARKER = "readership:ids"

NewClaims = Callable[[], Claims]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 30)  # a busy machine is no Redis that is away
    monkeypatch.setattr(patience, "PAUSE", 0)


@pytest.fixture(scope="module")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Redis]:
    """One of this file's own: others would not like FLUSHALL."""
    async with open_queue(None, tmp_path_factory.mktemp("claims")) as redis:
        yield redis


@pytest.fixture
async def redis(valkey: Redis) -> Redis:
    await valkey.flushall()
    await valkey.script_flush()
    return valkey


class Empty:
    """An engine that has received nothing, or one event just now."""

    def __init__(self, received: bool = False) -> None:
        self.received = received
        self.asked = 0

    async def select(self, _statement: object) -> list[list[int]]:
        self.asked += 1
        return [[1]] if self.received else []


def process(redis: Redis, folder: Path, received: bool = False) -> Claims:
    return Claims(redis, Empty(received), folder / "missed")  # type: ignore[arg-type]


@pytest.fixture
def start(redis: Redis, tmp_path: Path) -> NewClaims:
    """Starts a process: each has a folder of its own."""

    def started() -> Claims:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        return process(redis, folder)

    return started


def ids(*numbers: int, site: str = "s") -> list[tuple[str, bytes]]:
    return [(site, number.to_bytes(16, "big")) for number in numbers]


async def claimed(claims: Claims, *wanted: tuple[str, list[tuple[str, bytes]]]) -> Claimed:
    answer = await claims.claim([Wanted(owner.encode(), pairs) for owner, pairs in wanted])
    assert answer is not None
    assert answer.standing.now == pytest.approx(time.time() * 1000, abs=60_000)
    return answer


async def held(claims: Claims, *wanted: tuple[str, list[tuple[str, bytes]]]) -> list[set[int]]:
    return [set(positions) for positions in (await claimed(claims, *wanted)).held]


async def standing(claims: Claims) -> Standing:
    found = await claims.standing()
    assert found is not None
    return found


def since_now(found: Standing) -> bool:
    return abs(found.since - SKEW - time.time() * 1000) < 60_000


async def test_an_id_of_another_owner_is_a_duplicate_and_ones_own_never(start: NewClaims) -> None:
    one, other = start(), start()
    assert await held(one, ("a", ids(1, 2, 3))) == [set()]
    assert await held(other, ("b", ids(3, 4, 1))) == [{0, 2}]
    assert await held(one, ("a", ids(1, 2, 3, 4))) == [{3}]
    assert await held(start(), ("a", ids(1, 2, 3)), ("b", ids(3, 4, 1))) == [set(), {0, 2}], "after a restart"


async def test_requests_of_one_commit_stand_in_order(start: NewClaims) -> None:
    wanted = [("a", ids(1, 2)), ("b", ids(2, 3)), ("c", []), ("d", ids(3) + ids(1, site="t")), ("e", ids(1, site="t"))]
    assert await held(start(), *wanted) == [set(), {0}, set(), {0}, {0}]
    assert await held(start(), *wanted[::-1]) == [{0}, {0}, set(), {0}, set()]


async def test_nothing_wanted_is_nothing_held(start: NewClaims) -> None:
    assert await held(start()) == []
    assert await held(start(), ("a", [])) == [set()]


HOSTILE = [
    "s",
    "S",
    "s\0",
    "\0",
    "s:",
    "*",
    "é",
    "e\u0301",
    "🦊",
    "x" * 255,
    "x" * 254,
    "日" * 255,
    "\ud800",
    " ",
    "{s}",
]


async def test_sites_keep_apart_whatever_their_names(start: NewClaims) -> None:
    extreme = [bytes(16), b"\xff" * 16, b"\r\n" * 8, b"\0" * 15 + b":"]
    everything = [(site, one) for site in HOSTILE for one in extreme]
    assert await held(start(), ("a", everything)) == [set()]
    assert await held(start(), ("a\0", everything)) == [set(range(len(everything)))]
    assert await held(start(), ("a" * 255, ids(1) + everything)) == [set(range(1, len(everything) + 1))]


@pytest.mark.parametrize("count", [999, 1_000, 1_001, PORTION, PORTION + 1, 2 * PORTION + 7])
async def test_large_requests_are_cut_and_put_together(start: NewClaims, count: int) -> None:
    even = ids(*range(0, 2 * count, 2))
    assert await held(start(), ("a", even)) == [set()]
    every = [pair for number, pair in enumerate(even) for pair in (pair, ids(2 * number + 1, site="st"[number % 2])[0])]
    assert await held(start(), ("z", ids(10**6)), ("b", every)) == [set(), set(range(0, 2 * count, 2))]
    assert await held(start(), ("a", even)) == [set()]


async def test_of_those_who_race_for_an_id_one_wins(start: NewClaims) -> None:
    processes = [start() for _ in range(4)]

    async def take(number: int) -> set[int]:
        owner, claims = f"owner {number}", processes[number % 4]
        mine = ids(*range(number, number + 200))
        lost = (await held(claims, (owner, mine)))[0]
        assert (await held(processes[(number + 1) % 4], (owner, mine)))[0] == lost
        return {number + position for position in range(200) if position not in lost}

    won = await asyncio.gather(*(take(number) for number in range(40)))
    assert sorted(number for numbers in won for number in numbers) == list(range(239))


small = st.integers(0, 12)
requests = st.tuples(
    st.sampled_from("abcd"), st.lists(st.tuples(st.sampled_from(["s", "t"]), small), unique=True, max_size=8)
)


@given(steps=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.lists(requests, max_size=5)), max_size=8))
@settings(max_examples=60)
async def test_verdicts_are_those_of_a_dictionary(
    redis: Redis, tmp_path: Path, steps: list[tuple[int, bool, list[tuple[str, list[tuple[str, int]]]]]]
) -> None:
    """Three processes, of which some restart between; the dictionary says who came first."""
    await redis.flushall()
    processes = [process(redis, tmp_path) for _ in range(3)]
    owners: dict[tuple[str, bytes], str] = {}
    for index, restarts, commit in steps:
        if restarts:
            processes[index] = process(redis, tmp_path)
        wanted = [(owner, [(site, ids(n)[0][1]) for site, n in pairs]) for owner, pairs in commit]
        expected = [
            {position for position, pair in enumerate(pairs) if owners.setdefault(pair, owner) != owner}
            for owner, pairs in wanted
        ]
        assert await held(processes[index], *wanted) == expected


async def test_ids_are_kept_for_three_slots_at_least_and_then_freed(
    start: NewClaims, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOT", 400)
    claims = start()
    first = (await claimed(claims, ("a", ids(1)))).standing.now
    while True:
        again = await claimed(claims, ("b", ids(1)))
        if not again.held[0]:
            break
        assert again.standing.now - first <= 4 * 400
        await asyncio.sleep(0.02)
    assert again.standing.now - first >= 3 * 400
    for _ in range(200):
        if await redis.keys(f"{MARKER}*") == [MARKER.encode()]:
            return
        await asyncio.sleep(0.05)
    pytest.fail("slots that have passed are still there")


def test_what_is_kept_reaches_back_a_day_from_the_receipt() -> None:
    at = 10 * WINDOW
    assert Standing(0, b"", at).vouches_for(at, at)
    assert Standing(at - WINDOW, b"", at).vouches_for(at, at)
    assert not Standing(at - WINDOW + 1, b"", at).vouches_for(at, at)
    hour = 3_600_000
    assert Standing(0, b"", at).vouches_for(at, at + hour)
    assert not Standing(0, b"", at).vouches_for(at, at + 2 * hour), "claimed long after it came"
    assert WINDOW + hour + SKEW <= (module.SLOTS - 1) * module.SLOT


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


async def test_other_keys_of_a_shared_redis_are_left_alone(start: NewClaims, redis: Redis) -> None:
    await redis.set("theirs", 1)
    await claimed(start(), ("a", ids(1)))
    keys = await redis.keys("*")
    assert {key.split(b":")[0] for key in keys} == {b"theirs", b"readership"}
