"""POST /api/samples."""

from __future__ import annotations

import asyncio
from functools import partial
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clickhouse.instants import epoch_ms
from service.clock import now
from service.ingest.answers import nothing_acceptable, site_asked, taken, wait_asked
from service.ingest.body import JSON_TYPES, Format, read_body
from service.ingest.idempotency import answer_once, digest_of, key_of
from service.ingest.items import items_of
from service.samples.parse import Parsed, Parser
from service.samples.text import is_small, read_text
from service.state import State, state_of

TYPES = {**JSON_TYPES, "text/plain": Format.PROMETHEUS, "application/openmetrics-text": Format.OPENMETRICS}

# Items parsed before other requests get their turn: 1,000 take about 3 ms.
_SLICE = 1_000


async def post_samples(request: Request) -> Response:
    """202 when every accepted sample is on disk; with `?wait=stored` when it is in the raw table and in every rollup.

    Raises:
        Problem: nothing of the body could be accepted, or it is no text of its type; what `key_of`, `read_body`,
            `items_of`, `Parser` and `answer_once` raise.
        NotTaken: the spool is full, or its disk.
    """
    state = state_of(request)
    wait, site = wait_asked(request), site_asked(request)
    key = key_of(request)
    form, body = await read_body(request, state.settings, TYPES)
    take = partial(_take, state, form, body, site, wait=wait)
    if key is None:
        return await take()
    digest = await digest_of(form, body, blake2b(f"samples\0{site}".encode()).digest())
    return await answer_once(state.idempotency, key, digest, take)


async def _take(state: State, form: Format, body: bytes, site: str, *, wait: bool) -> Response:
    once = form in {Format.PROMETHEUS, Format.OPENMETRICS}
    parser = Parser(epoch_ms(now()), site, state.arrivals, state.settings.max_decompressed_bytes, once=once)
    parsed = await _parse(state, form, body, parser)
    if parsed.rejected:
        state.metrics.count_rejected_samples(rejection.field for rejection in parsed.rejected)
    if not parsed.samples:
        raise nothing_acceptable(parsed.rejected, "sample")
    receipt = await state.samples.append(parsed.samples, frozenset(range(len(parsed.samples))), wait=wait)
    return taken(receipt, parsed.rejected)


async def _parse(state: State, form: Format, body: bytes, parser: Parser) -> Parsed:
    if form in {Format.PROMETHEUS, Format.OPENMETRICS}:
        if is_small(body):
            return _read(form, body, parser)
        # One at a time: Python reads no faster in two threads, and others need theirs.
        async with state.texts:
            return await asyncio.to_thread(_read, form, body, parser)
    items = await items_of(form, body, "samples")
    parsed = parser.parse(items[:_SLICE])
    for start in range(_SLICE, len(items), _SLICE):
        await asyncio.sleep(0)
        part = parser.parse(items[start : start + _SLICE], start)
        parsed.samples.extend(part.samples)
        parsed.rejected.extend(part.rejected)
    return parsed


def _read(form: Format, body: bytes, parser: Parser) -> Parsed:
    return parser.take(read_text(form, body).items())


# Plain like that of events.
route = Route("/api/samples", post_samples, methods=["POST"])
