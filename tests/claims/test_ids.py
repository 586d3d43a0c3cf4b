"""An event_id has one owner among all processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.claims.processes import MARKER, WINDOW, NewClaims, claimed, held, ids, process
from workers import claims as module
from workers.claims import SKEW, Standing
from workers.wanted import PORTION


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


async def test_other_keys_of_a_shared_redis_are_left_alone(start: NewClaims, redis: Redis) -> None:
    await redis.set("theirs", 1)
    await claimed(start(), ("a", ids(1)))
    keys = await redis.keys("*")
    assert {key.split(b":")[0] for key in keys} == {b"theirs", b"readership"}
