"""POST /api/events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clickhouse.events import Event
from clickhouse.instants import epoch_ms
from service.events.body import read_body
from service.events.parse import Defaults, Item, Parsed, Rejection, parse, split
from service.events.viewers import anonymous_viewer
from service.problems import FieldError, Invalid
from service.state import State, state_of

# Items validated before other requests get their turn: 1,000 take about 5 ms.
SLICE = 1_000


class Answer(msgspec.Struct):
    accepted: int
    duplicates: int
    rejected: list[Rejection]


async def post_events(request: Request) -> Response:
    """Count views: one event, an array, or NDJSON; gzip, deflate or zstd.

    Every accepted event is stored, in the raw table and in every rollup, when the answer arrives. An `event_id`
    that was stored before is counted once and reported under `duplicates`. What is wrong with one event is told
    under `rejected`, by its index, and costs no other.
    """
    state = state_of(request)
    form, body = await read_body(request, state.settings)
    parsed = await _parse(split(form, body), await _defaults(request, state))
    if not parsed.events:
        raise _nothing_acceptable(parsed.rejected)
    receipt = await state.events.append(parsed.events, parsed.given_ids)
    answer = Answer(receipt.stored, receipt.duplicates, parsed.rejected)
    return Response(msgspec.json.encode(answer), 202, media_type="application/json")


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


async def _defaults(request: Request, state: State) -> Defaults:
    now = datetime.now(UTC)
    salt = await state.salt.of(now.date())
    address = request.client.host if request.client else ""
    user_agent = request.headers.get("user-agent", "")

    @cache
    def viewer(site: str) -> int:
        return anonymous_viewer(salt, site, address, user_agent)

    return Defaults(epoch_ms(now), state.places.country(request), viewer)


def _nothing_acceptable(rejected: list[Rejection]) -> Invalid:
    several = len(rejected) > 1
    errors = [
        FieldError(field=item.field, message=f"event {item.index}: {item.reason}" if several else item.reason)
        for item in rejected
    ]
    detail = f"none of {len(rejected)} events was acceptable" if rejected else "there are no events in the body"
    return Invalid(detail, errors, accepted=0, duplicates=0, rejected=msgspec.to_builtins(rejected))


# A plain Starlette route: FastAPI's handling of parameters, of which there are none, costs as much again as all of the
# above (225 µs a request with it, 80 µs without).
route = Route("/api/events", post_events, methods=["POST"])
