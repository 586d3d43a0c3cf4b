"""`Idempotency-Key` on what brings events or samples: a request sent again is answered again, not carried out again.

After draft-ietf-httpapi-idempotency-key-header: the answer to a key is kept in Redis for 24 hours, with a digest of the
body it belongs to. A key has no scope but itself: there is no authentication yet that could give it one, so clients
choose keys nobody else has, such as UUIDs. Keys are compared as sent, quotes included.

Redis is a help here and no need. Events counted twice are prevented by their ids: those without one get theirs from
`ids_for`, so that a second run of the request, after a crash or without Redis, finds them as duplicates.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from struct import Struct
from typing import Any

from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import Response

from clickhouse.events import RETRY_WINDOW
from service.ingest.body import Format
from service.problems import InProgress, Invalid, Problem, refusal
from workers.patience import Patience

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT = "Idempotency-Kept"

LONGEST_KEY = 255

# Seconds after which a request that never came to its end, because its process was killed, is taken for dead. Nothing
# breaks when it is alive: both runs have the same ids.
RUNNING = 60

# Bytes of an answer that is kept. One of 100 events of which each is rejected has 8 kB; one of 100,000 would take 8 MB
# of Redis for a day.
LARGEST = 256 * 2**10

# Bytes digested on the event loop, in 1 ms.
_AT_ONCE = 2**20

_printable = re.compile(r"[ -~]{1,255}").fullmatch


@dataclass(frozen=True)
class Replay:
    """The answer of the first time."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True)
class Begun:
    """The request is ours to carry out; `finish` or `abandon` it."""

    name: str
    mark: bytes


@dataclass(frozen=True)
class Unkept:
    """Redis is away: the request is to be carried out, and its answer is not kept."""


def key_of(request: Request) -> str | None:
    """The request's key, if it has one. Raises Invalid for one that is none."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1:
        raise Invalid.field(HEADER, "is given twice")
    if not _printable(given[0]):
        raise Invalid.field(HEADER, f"must have 1 to {LONGEST_KEY} printable ASCII characters")
    return given[0]


async def digest_of(form: Format, body: bytes, beside: bytes = b"") -> bytes:
    """16 bytes that stand for a decompressed body, how it is to be read, and at most 64 bytes of what else is asked."""
    digest = partial(blake2b, body, digest_size=16, key=beside, person=form.name.encode())
    return (digest() if len(body) <= _AT_ONCE else await asyncio.to_thread(digest)).digest()


def ids_for(key: str, body_digest: bytes) -> Callable[[int], bytes]:
    """Gives an event, by its index in the request, the same id whenever the request is sent: a UUID of version 8.

    The body is part of it: a client that uses one key for everything would otherwise lose, while Redis is away and
    cannot refuse it, all events but those of its first request.
    """
    base = blake2b(key.encode(), digest_size=16, key=body_digest, person=b"event_id")

    def event_id(index: int) -> bytes:
        hashed = base.copy()
        hashed.update(b"\0%d" % index)
        made = bytearray(hashed.digest())
        made[6] = 0x80 | made[6] & 0x0F
        made[8] = 0x80 | made[8] & 0x3F
        return bytes(made)

    return event_id


_DONE = b"D"
_RUNS = b"R"
_DIGEST = slice(1, 17)
_head = Struct("<HB")

# Replaces our own mark, or one that has run out: nobody else's.
_END = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class Idempotency:
    """What is known of keys. Answers stand in Redis as D, the body's digest, status, media type and the answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._patience = Patience("answers to an Idempotency-Key are not kept")

    async def begin(self, key: str, body_digest: bytes) -> Replay | Begun | Unkept:
        """Of requests that come together with one key, one is begun.

        Raises:
            Invalid: the key was used for another body.
            InProgress: the request is being carried out.
        """
        name = f"readership:idempotency:{blake2b(key.encode(), digest_size=16).hexdigest()}"
        mark = _RUNS + body_digest + secrets.token_bytes(16)
        held = await self._patience.ask(partial(self._mark, name, mark))
        if held is None:
            return Unkept()
        if held == mark:
            return Begun(name, mark)
        if held[_DIGEST] != body_digest:
            raise Invalid.field(HEADER, "was used for another body")
        if held.startswith(_RUNS):
            raise InProgress(f"the request with this {HEADER} is being carried out")
        return _unpack(held)

    async def finish(self, begun: Begun, answer: Replay) -> bool:
        """Whether the answer is kept. To be called with final ones only: a 503 is to be tried again."""
        if len(answer.body) > LARGEST:
            await self.abandon(begun)
            return False
        milliseconds = int(RETRY_WINDOW.total_seconds() * 1000)
        packed = _DONE + begun.mark[_DIGEST] + _pack(answer)
        return bool(await self._patience.ask(partial(self._end, begun, packed, milliseconds)))

    async def abandon(self, begun: Begun) -> None:
        """There is no final answer: the next request with this key is carried out, at once."""
        await self._patience.ask(partial(self._end, begun, b"", 0))

    async def _mark(self, name: str, mark: bytes) -> bytes:
        """Our mark if it is the first, else what stands there."""
        while True:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.set(name, mark, nx=True, px=RUNNING * 1000)
                pipeline.get(name)
                _, held = await pipeline.execute()
            if held:  # else another's ran out between the two
                return bytes(held)

    async def _end(self, begun: Begun, packed: bytes, milliseconds: int) -> int:
        ask: Callable[..., Awaitable[Any]] = self._redis.execute_command
        return int(await ask("EVAL", _END, 1, begun.name, begun.mark, packed, milliseconds))


async def answer_once(
    idempotency: Idempotency, key: str, body_digest: bytes, carry_out: Callable[[], Awaitable[Response]]
) -> Response:
    """The kept answer, or what `carry_out` answers or refuses, which is kept then.

    Raises what `carry_out` raises beside Problem, which is about the content and final, and what `begin` raises.
    """
    begun = await idempotency.begin(key, body_digest)
    if isinstance(begun, Replay):
        return Response(begun.body, begun.status, {REPLAYED: "true"}, begun.media_type)
    try:
        response = await carry_out()
    except Problem as problem:
        response = refusal(problem)
    except BaseException:
        if isinstance(begun, Begun):
            await idempotency.abandon(begun)
        raise
    answer = Replay(response.status_code, response.media_type or "", bytes(response.body))
    if isinstance(begun, Unkept) or not await idempotency.finish(begun, answer):
        response.headers[KEPT] = "false"
    return response


def _pack(answer: Replay) -> bytes:
    media_type = answer.media_type.encode()
    return _head.pack(answer.status, len(media_type)) + media_type + answer.body


def _unpack(held: bytes) -> Replay:
    status, length = _head.unpack_from(held, _DIGEST.stop)
    body = _DIGEST.stop + _head.size + length
    return Replay(status, held[body - length : body].decode(), held[body:])
