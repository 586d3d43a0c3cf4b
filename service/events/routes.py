"""POST /api/events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clickhouse.events import Event
from clickhouse.instants import epoch_ms
from service.clock import now
from service.events.body import Format, read_body
from service.events.idempotency import answer_once, digest_of, ids_for, key_of
from service.events.items import Item, split
from service.events.parse import Defaults, Parsed, Rejection, none_is_json, parse
from service.events.viewers import anonymous_viewer
from service.problems import FieldError, Invalid, NotJson, Problem
from service.state import State, state_of

# Bytes that are split on the event loop: in 1 ms, in 30 ms if they are nothing but commas.
_AT_ONCE = 2**20

# Items parsed before other requests get their turn: 1,000 take about 5 ms.
SLICE = 1_000

# Faults named in a refusal's `errors`; `rejected` has them all.
_MAX_ERRORS = 100


# Says that event_ids were not compared with those of other requests: Redis is away. Each is counted once all the same,
# unless another process takes it in the same second.
LOCAL = {"Readership-Deduplication": "local"}

IMPORT_HEADER = "readership-import"


class Answer(msgspec.Struct):
    """`stored`: whether the events are in ClickHouse; only where that was asked for."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    stored: bool | msgspec.UnsetType = msgspec.UNSET


async def post_events(request: Request) -> Response:
    """202 when every accepted event is on disk; with `?wait=stored` when it is in the raw table and in every rollup.

    With an Idempotency-Key once for each: what it was answered is answered again.

    Raises:
        Problem: nothing of the body could be accepted; what `key_of`, `read_body`, `split` and `answer_once` raise.
        ImportFault: there is no import with the number given, or it takes no more events.
        NotTaken: the spool is full, or its disk.
    """
    state = state_of(request)
    wait = _wait(request)
    key = key_of(request)
    form, body = await read_body(request, state.settings)
    if key is None:
        return await _take(request, state, form, body, wait=wait)
    digest = await digest_of(form, body)
    take = partial(_take, request, state, form, body, ids_for(key, digest), wait=wait)
    return await answer_once(state.idempotency, key, digest, take)


async def _take(
    request: Request,
    state: State,
    form: Format,
    body: bytes,
    derived_id: Callable[[int], bytes] | None = None,
    *,
    wait: bool,
) -> Response:
    # 64 MiB are split in 0.05 s, in 0.25 s where one event is broken.
    items = split(form, body) if len(body) <= _AT_ONCE else await asyncio.to_thread(split, form, body)
    defaults = await _defaults(request, state, derived_id)
    if defaults.import_id:
        # After `now` was taken: an import undone from here on drops what was received before.
        await state.imports.running(defaults.import_id)
    parsed = await _parse(items, defaults)
    if parsed.rejected:
        state.metrics.count_rejected(rejection.field for rejection in parsed.rejected)
    if not parsed.events:
        raise _nothing_acceptable(parsed.rejected)
    receipt = await state.events.append(parsed.events, parsed.given_ids, wait=wait)
    answer = Answer(receipt.accepted, receipt.duplicates, parsed.rejected)
    if receipt.stored is not None:
        answer.stored = receipt.stored
    headers = None if receipt.shared else LOCAL
    return Response(msgspec.json.encode(answer), 202, headers, media_type="application/json")


def _wait(request: Request) -> bool:
    if not request.scope["query_string"]:  # nearly always
        return False
    asked = request.query_params.getlist("wait")
    if asked and asked != ["stored"]:
        raise Invalid.field("wait", "must be stored, or left out")
    return bool(asked)


async def _parse(items: list[Item], defaults: Defaults) -> Parsed:
    if len(items) <= SLICE:
        return parse(items, defaults)
    events: list[Event] = []
    given: set[int] = set()
    rejected: list[Rejection] = []
    for start in range(0, len(items), SLICE):
        part = parse(items[start : start + SLICE], defaults, start)
        given |= {len(events) + index for index in part.given_ids}
        events += part.events
        rejected += part.rejected
        await asyncio.sleep(0)
    return Parsed(events, frozenset(given), rejected)


async def _defaults(request: Request, state: State, derived_id: Callable[[int], bytes] | None) -> Defaults:
    moment = now()
    salt = await state.salt.of(moment.date())
    # functools.cache takes 4 µs to set up, and most requests are one event.
    known: dict[str, int] = {}

    def viewer(site: str) -> int:
        found = known.get(site)
        if found is None:
            address = request.client.host if request.client else ""
            user_agent = request.headers.get("user-agent", "")
            found = known[site] = anonymous_viewer(salt, site, address, user_agent)
        return found

    return Defaults(
        epoch_ms(moment), state.new_ids, state.places.country(request), viewer, derived_id, _import_id(request)
    )


def _import_id(request: Request) -> int:
    given = request.headers.get(IMPORT_HEADER)
    if given is None:  # nearly always
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and 0 < int(given) < 2**32):
        raise Invalid.field("Readership-Import", "must be the number of an import")
    return int(given)


def _nothing_acceptable(rejected: list[Rejection]) -> Problem:
    if none_is_json(rejected):
        return NotJson("the body is not JSON" if len(rejected) == 1 else "none of the events is JSON")
    several = len(rejected) > 1
    errors = [
        FieldError(field=item.field, message=f"event {item.index}: {item.reason}" if several else item.reason)
        for item in rejected[:_MAX_ERRORS]
    ]
    detail = f"none of {len(rejected)} events was acceptable" if rejected else "there are no events in the body"
    if len(rejected) > _MAX_ERRORS:
        detail += f"; the first {_MAX_ERRORS} stand under errors"
    return Invalid(detail, errors, accepted=0, duplicates=0, rejected=msgspec.to_builtins(rejected))


# A plain Starlette route: FastAPI's handling of parameters, of which there are none, costs as much again as all of the
# above (225 µs a request with it, 80 µs without).
route = Route("/api/events", post_events, methods=["POST"])
