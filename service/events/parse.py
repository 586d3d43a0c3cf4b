"""From JSON to valid events: each item is either an Event or a rejection that names the field and the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import msgspec

from clickhouse.events import Event
from service import countries
from service.events.viewers import VIEWER_BITS
from service.ingest.items import Item
from service.ingest.moments import moment
from service.ingest.rejections import Rejection, Wrong, decode, text
from service.parameters import DEFAULT_SITE, MAX_ID, MAX_SITE

MAX_TEXT = 8_192


class EventIn(msgspec.Struct, gc=False):
    """One event as sent; null counts as absent, unknown fields are passed over."""

    blog_id: str | int | None = None
    event_id: str | None = None
    viewed_at: str | int | None = None
    site: str | None = None
    author_id: str | int | None = None
    country: str | None = None
    viewer_id: str | int | None = None
    url: str | None = None
    referrer: str | None = None


class Defaults(NamedTuple):
    """What fills in for absent fields: the moment (epoch ms), an id, the proxy's country, the private daily viewer."""

    now: int
    new_id: Callable[[int], bytes]
    country: str
    viewer: Callable[[str], int]
    """The viewer of a site when the client names none."""
    derived_id: Callable[[int], bytes] | None = None
    """The id of an event without one, by its index, where the request has an Idempotency-Key; as good as a client's."""
    import_id: int = 0
    """Of the import that the request belongs to."""
    site: str = DEFAULT_SITE


class Parsed(NamedTuple):
    events: list[Event]
    given_ids: frozenset[int]
    """Positions in `events` whose event_id came from the client, or from its Idempotency-Key."""
    rejected: list[Rejection]


_one = msgspec.json.Decoder(EventIn)


def parse(items: Iterable[Item], defaults: Defaults, first_index: int = 0) -> Parsed:
    """Decodes, validates and normalises; what is wrong with one item never costs another."""
    events: list[Event] = []
    given: set[int] = set()
    rejected: list[Rejection] = []
    for index, item in enumerate(items, first_index):
        sent = decode(_one, index, item)
        if isinstance(sent, Rejection):
            rejected.append(sent)
            continue
        try:
            event = _event(sent, defaults)
        except Wrong as wrong:
            rejected.append(Rejection(index, wrong.field, wrong.reason))
            continue
        if sent.event_id is not None:
            given.add(len(events))
        elif defaults.derived_id is not None:
            given.add(len(events))
            event = event._replace(event_id=defaults.derived_id(index))
        events.append(event)
    return Parsed(events, frozenset(given), rejected)


def _event(sent: EventIn, defaults: Defaults) -> Event:
    site = defaults.site if sent.site is None else text("site", sent.site, MAX_SITE)
    if sent.blog_id is None:
        raise Wrong("blog_id", "is required")
    # In the order of Event's fields: by name it takes twice as long.
    return Event(
        defaults.new_id(defaults.now) if sent.event_id is None else _uuid(sent.event_id),
        site,
        text("blog_id", sent.blog_id, MAX_ID),
        "" if sent.author_id is None or sent.author_id == "" else text("author_id", sent.author_id, MAX_ID),
        defaults.country if sent.country is None else _country(sent.country),
        defaults.viewer(site)
        if sent.viewer_id is None
        else hash_viewer(site, text("viewer_id", sent.viewer_id, MAX_ID)),
        defaults.now if sent.viewed_at is None else moment("viewed_at", sent.viewed_at, defaults.now),
        defaults.now,
        "" if sent.url is None else _url("url", sent.url),
        "" if sent.referrer is None else _url("referrer", sent.referrer),
        defaults.import_id,
    )


def _url(field: str, url: str) -> str:
    if len(url) > MAX_TEXT:
        raise Wrong(field, f"must have at most {MAX_TEXT} characters")
    return url


def _uuid(given: str) -> bytes:
    grouped = len(given) == 36 and given[8:24:5] == "----"
    if grouped or len(given) == 32:
        try:
            found = bytes.fromhex(given.replace("-", "") if grouped else given)
        except ValueError:
            found = b""
        if len(found) == 16:  # fromhex passes over blanks
            return found
    raise Wrong("event_id", "must be a UUID: 32 hex digits, or 8-4-4-4-12")


def _country(code: str) -> str:
    try:
        return countries.normalise(code)
    except ValueError as error:
        raise Wrong("country", str(error)) from None


def hash_viewer(site: str, viewer_id: str) -> int:
    """48 bits; the site is part of it, so one person cannot be followed from site to site."""
    digest = _hash()
    digest.update(f"{site}\0{viewer_id}".encode())
    return _uint64(digest.digest())[0] & VIEWER_BITS  # type: ignore[no-any-return]


# A copy of an empty hash takes half the time of a new one with its arguments.
_hash = blake2b(digest_size=8).copy
_uint64 = Struct("<Q").unpack
