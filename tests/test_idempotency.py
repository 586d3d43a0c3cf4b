"""A key is carried out once: its answer is kept, its events have the same ids at every try."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from starlette.responses import Response

from clickhouse.errors import Unavailable
from service.ingest import idempotency as module
from service.ingest.body import Format
from service.ingest.idempotency import Begun, Idempotency, Replay, Unkept, answer_once, digest_of, ids_for
from service.problems import InProgress, Invalid, NotJson
from workers import patience

ANSWER = Replay(202, "application/json", b'{"accepted":1}')
BODY = b"b" * 16
OTHER = b"o" * 16


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 30)
    monkeypatch.setattr(patience, "PAUSE", 0)


@pytest.fixture
async def kept(redis: Redis) -> Idempotency:
    return Idempotency(redis)


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def begun(kept: Idempotency, key: str, body: bytes = BODY) -> Begun:
    found = await kept.begin(key, body)
    assert isinstance(found, Begun)
    return found


@pytest.mark.parametrize(
    "answer", [ANSWER, Replay(422, "application/problem+json", bytes(range(256))), Replay(202, "", b"")]
)
async def test_the_first_answer_is_given_again(kept: Idempotency, redis: Redis, key: str, answer: Replay) -> None:
    first = await begun(kept, key)
    assert await kept.finish(first, answer)
    assert 60_000 < await redis.pttl(first.name) <= 24 * 3600 * 1000
    assert await Idempotency(redis).begin(key, BODY) == answer
    with pytest.raises(Invalid, match="another body"):
        await kept.begin(key, OTHER)


async def test_while_it_runs_it_is_not_begun_again(kept: Idempotency, key: str) -> None:
    first = await begun(kept, key)
    with pytest.raises(InProgress):
        await kept.begin(key, BODY)
    with pytest.raises(Invalid):
        await kept.begin(key, OTHER)
    await kept.abandon(first)
    await begun(kept, key, OTHER)


async def test_of_many_at_once_one_is_begun(redis: Redis, key: str) -> None:
    tries = [Idempotency(redis).begin(key, BODY) for _ in range(20)]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Begun"] + ["InProgress"] * 19


async def test_who_was_taken_for_dead_overwrites_nobody(kept: Idempotency, redis: Redis, key: str) -> None:
    slow = await begun(kept, key)
    assert 0 < await redis.pttl(slow.name) <= 60_000
    await redis.delete(slow.name)
    second = await begun(kept, key, OTHER)
    assert not await kept.finish(slow, ANSWER)
    await kept.abandon(slow)
    with pytest.raises(InProgress):
        await kept.begin(key, OTHER)
    assert await kept.finish(second, ANSWER)
    assert await kept.begin(key, OTHER) == ANSWER


async def test_who_was_taken_for_dead_and_not_replaced_keeps_its_answer(
    kept: Idempotency, redis: Redis, key: str
) -> None:
    slow = await begun(kept, key)
    await redis.delete(slow.name)
    assert await kept.finish(slow, ANSWER)
    assert await kept.begin(key, BODY) == ANSWER


async def test_a_long_answer_is_not_kept(kept: Idempotency, key: str) -> None:
    assert not await kept.finish(await begun(kept, key), Replay(202, "", bytes(module.LARGEST + 1)))
    await begun(kept, key)


async def test_without_redis_nothing_is_kept_and_everything_carried_out(key: str) -> None:
    async with Redis.from_url("unix:///nowhere/valkey.sock") as nowhere:
        kept = Idempotency(nowhere)
        assert await kept.begin(key, BODY) == Unkept()
        assert not await kept.finish(Begun("n", b"R" + BODY), ANSWER)
        await kept.abandon(Begun("n", b"R" + BODY))


async def test_refusals_are_final_and_failures_are_not(kept: Idempotency, key: str) -> None:
    calls = 0

    async def carry_out() -> Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Unavailable("away")
        raise NotJson("the body is not JSON")

    with pytest.raises(Unavailable):
        await answer_once(kept, key, BODY, carry_out)
    first, again = [await answer_once(kept, key, BODY, carry_out) for _ in range(2)]
    assert calls == 2
    assert (first.status_code, first.body, first.media_type) == (again.status_code, again.body, again.media_type)
    assert (again.status_code, again.headers[module.REPLAYED]) == (400, "true")
    assert module.REPLAYED not in first.headers


async def test_a_body_is_told_from_others() -> None:
    bodies = [(Format.JSON, b"[]"), (Format.NDJSON, b"[]"), (Format.JSON, b"[] "), (Format.JSON, bytes(2**20 + 1))]
    digests = [await digest_of(form, body) for form, body in bodies]
    assert len(set(digests)) == len(bodies)
    assert digests == [await digest_of(form, body) for form, body in bodies]


def test_ids_are_the_same_again_and_uuids_of_version_8() -> None:
    keys = ["a", "a0", "0", "~" * 255]
    made = {
        (key, body, index): ids_for(key, body)(index) for key in keys for body in (BODY, OTHER) for index in range(99)
    }
    assert len(set(made.values())) == len(made)
    assert all(ids_for(key, body)(index) == one for (key, body, index), one in made.items())
    assert {UUID(bytes=one).version for one in made.values()} == {8}
    assert {UUID(bytes=one).variant for one in made.values()} == {"specified in RFC 4122"}
    # Written down: another version of the service must make the same.
    assert UUID(bytes=ids_for("key", BODY)(7)) == UUID("1565ca04-ceff-8281-b403-bc30452d9c77")


async def test_keys_are_not_readable_in_redis(kept: Idempotency, redis: Redis) -> None:
    secret = f"{uuid4()}\x20{'~' * 200}"
    found = await begun(kept, secret)
    assert secret not in found.name
    assert found.name.startswith("readership:")
    assert await redis.exists(found.name)
