"""POST /api/events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from hashlib import blake2b

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clickhouse.events import Event
from clickhouse.instants import epoch_ms
from service.clock import now
from service.events.parse import Defaults, Parsed, parse
from service.events.viewers import anonymous_viewer
from service.ingest.answers import nothing_acceptable, site_asked, taken, wait_asked
from service.ingest.body import JSON_TYPES, Format, read_body
from service.ingest.idempotency import answer_once, digest_of, ids_for, key_of
from service.ingest.items import Item, items_of
from service.ingest.rejections import Rejection
from service.parameters import DEFAULT_SITE
from service.problems import Invalid
from service.state import State, state_of

# Items parsed before other requests get their turn: 1,000 take about 5 ms.
SLICE = 1_000

IMPORT_HEADER = "readership-import"


async def post_events(request: Request) -> Response:
    """202 when every accepted event is on disk; with `?wait=stored` when it is in the raw table and in every rollup.

    With an Idempotency-Key once for each: what it was answered is answered again.

    Raises:
        Problem: nothing of the body could be accepted; what `key_of`, `read_body`, `split` and `answer_once` raise.
        ImportFault: there is no import with the number given, or it takes no more events.
        NotTaken: the spool is full, or its disk.
    """
    state = state_of(request)
    wait, site = wait_asked(request), site_asked(request)
    key = key_of(request)
    form, body = await read_body(request, state.settings, JSON_TYPES)
    if key is None:
        return await _take(request, state, form, body, site, wait=wait)
    beside = b"" if site == DEFAULT_SITE else blake2b(site.encode()).digest()
    digest = await digest_of(form, body, beside)
    take = partial(_take, request, state, form, body, site, ids_for(key, digest), wait=wait)
    return await answer_once(state.idempotency, key, digest, take)


async def _take(
    request: Request,
    state: State,
    form: Format,
    body: bytes,
    site: str,
    derived_id: Callable[[int], bytes] | None = None,
    *,
    wait: bool,
) -> Response:
    items = await items_of(form, body, "events")
    defaults = await _defaults(request, state, site, derived_id)
    if defaults.import_id:
        # After `now` was taken: an import undone from here on drops what was received before.
        await state.imports.running(defaults.import_id)
    parsed = await _parse(items, defaults)
    if parsed.rejected:
        state.metrics.count_rejected(rejection.field for rejection in parsed.rejected)
    if not parsed.events:
        raise nothing_acceptable(parsed.rejected, "event")
    receipt = await state.events.append(parsed.events, parsed.given_ids, wait=wait)
    return taken(receipt, parsed.rejected)


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


async def _defaults(request: Request, state: State, site: str, derived_id: Callable[[int], bytes] | None) -> Defaults:
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
        epoch_ms(moment), state.new_ids, state.places.country(request), viewer, derived_id, _import_id(request), site
    )


def _import_id(request: Request) -> int:
    given = request.headers.get(IMPORT_HEADER)
    if given is None:  # nearly always
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and 0 < int(given) < 2**32):
        raise Invalid.field("Readership-Import", "must be the number of an import")
    return int(given)


# A plain Starlette route: FastAPI's handling of parameters, of which there are two, costs as much again as all of the
# above (225 µs a request with it, 80 µs without).
route = Route("/api/events", post_events, methods=["POST"])
