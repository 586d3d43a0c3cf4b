"""Processes that claim ids, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from clickhouse.events import RETRY_WINDOW
from workers.claims import SKEW, Claimed, Claims, Standing
from workers.wanted import Wanted

WINDOW = int(RETRY_WINDOW.total_seconds() * 1000)
MARKER = "readership:ids"

NewClaims = Callable[[], Claims]


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
