"""From JSON to valid events: each item is either an Event or a rejection that names the field and the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

import msgspec

from clickhouse.events import Event
from clickhouse.instants import EPOCH, epoch_ms
from service import countries
from service.events.items import Item
from service.events.viewers import VIEWER_BITS
from service.parameters import MAX_ID, MAX_SITE, UNSOUND, is_sound

EARLIEST = epoch_ms(datetime(2000, 1, 1, tzinfo=UTC))
AHEAD = timedelta(minutes=10) // timedelta(milliseconds=1)

MAX_TEXT = 8_192
DEFAULT_SITE = "default"


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


class Rejection(msgspec.Struct):
    """`index` counts the request's events from 0; `field` is '' where the item as a whole is wrong."""

    index: int
    field: str
    reason: str


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


class Parsed(NamedTuple):
    events: list[Event]
    given_ids: frozenset[int]
    """Positions in `events` whose event_id came from the client, or from its Idempotency-Key."""
    rejected: list[Rejection]


_one = msgspec.json.Decoder(EventIn)

_NOT_JSON = "not JSON"


def _decode(index: int, item: Item) -> EventIn | Rejection:
    try:
        return _one.decode(item)
    except msgspec.ValidationError as error:
        # "Expected `str | null`, got `array` - at `$.site`"
        text, _, path = str(error).partition(" - at `$")
        field = path.strip("`").lstrip(".")
        return Rejection(index, field, _plain(text) if field else "must be a JSON object")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejection(index, "", _NOT_JSON)


def _plain(text: str) -> str:
    wanted = re.search(r"Expected `([^`]*)`", text)
    kinds = wanted[1].replace(" | null", "").replace("str", "a string").replace("int", "an integer") if wanted else ""
    return f"must be {kinds.replace(' | ', ' or ')}" if kinds else text


class _Wrong(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason


def parse(items: Iterable[Item], defaults: Defaults, first_index: int = 0) -> Parsed:
    """Decodes, validates and normalises; what is wrong with one item never costs another."""
    events: list[Event] = []
    given: set[int] = set()
    rejected: list[Rejection] = []
    for index, item in enumerate(items, first_index):
        sent = _decode(index, item)
        if isinstance(sent, Rejection):
            rejected.append(sent)
            continue
        try:
            event = _event(sent, defaults)
        except _Wrong as wrong:
            rejected.append(Rejection(index, wrong.field, wrong.reason))
            continue
        if sent.event_id is not None:
            given.add(len(events))
        elif defaults.derived_id is not None:
            given.add(len(events))
            event = event._replace(event_id=defaults.derived_id(index))
        events.append(event)
    return Parsed(events, frozenset(given), rejected)


def none_is_json(rejected: Sequence[Rejection]) -> bool:
    """Every item was rejected for that: it is the body that is no JSON."""
    return bool(rejected) and all(item.reason == _NOT_JSON for item in rejected)


def _event(sent: EventIn, defaults: Defaults) -> Event:
    site = DEFAULT_SITE if sent.site is None else _text("site", sent.site, MAX_SITE)
    if sent.blog_id is None:
        raise _Wrong("blog_id", "is required")
    # In the order of Event's fields: by name it takes twice as long.
    return Event(
        defaults.new_id(defaults.now) if sent.event_id is None else _uuid(sent.event_id),
        site,
        _text("blog_id", sent.blog_id, MAX_ID),
        "" if sent.author_id is None or sent.author_id == "" else _text("author_id", sent.author_id, MAX_ID),
        defaults.country if sent.country is None else _country(sent.country),
        defaults.viewer(site)
        if sent.viewer_id is None
        else hash_viewer(site, _text("viewer_id", sent.viewer_id, MAX_ID)),
        defaults.now if sent.viewed_at is None else _viewed_at(sent.viewed_at, defaults.now),
        defaults.now,
        "" if sent.url is None else _url("url", sent.url),
        "" if sent.referrer is None else _url("referrer", sent.referrer),
        defaults.import_id,
    )


def _text(field: str, value: str | int, longest: int) -> str:
    text = value if isinstance(value, str) else str(value)
    if not 0 < len(text) <= longest:
        raise _Wrong(field, f"must have 1 to {longest} characters")
    if not is_sound(text):
        raise _Wrong(field, UNSOUND)
    return text


def _url(field: str, text: str) -> str:
    if len(text) > MAX_TEXT:
        raise _Wrong(field, f"must have at most {MAX_TEXT} characters")
    return text


def _uuid(text: str) -> bytes:
    grouped = len(text) == 36 and text[8:24:5] == "----"
    if grouped or len(text) == 32:
        try:
            found = bytes.fromhex(text.replace("-", "") if grouped else text)
        except ValueError:
            found = b""
        if len(found) == 16:  # fromhex passes over blanks
            return found
    raise _Wrong("event_id", "must be a UUID: 32 hex digits, or 8-4-4-4-12")


def _country(code: str) -> str:
    try:
        return countries.normalise(code)
    except ValueError as error:
        raise _Wrong("country", str(error)) from None


def hash_viewer(site: str, viewer_id: str) -> int:
    """48 bits; the site is part of it, so one person cannot be followed from site to site."""
    digest = _hash()
    digest.update(f"{site}\0{viewer_id}".encode())
    return _uint64(digest.digest())[0] & VIEWER_BITS  # type: ignore[no-any-return]


# A copy of an empty hash takes half the time of a new one with its arguments.
_hash = blake2b(digest_size=8).copy
_uint64 = Struct("<Q").unpack


def _viewed_at(value: str | int, now: int) -> int:
    moment = value if isinstance(value, int) else _rfc3339(value)
    if not EARLIEST <= moment <= now + AHEAD:
        raise _Wrong("viewed_at", "must lie between 2000-01-01 and ten minutes from now")
    return moment


def _rfc3339(text: str) -> int:
    if not _RFC3339(text):
        raise _Wrong("viewed_at", _NO_INSTANT)
    try:
        since = datetime.fromisoformat(text.replace("z", "Z")) - EPOCH
    except ValueError:
        raise _Wrong("viewed_at", _NO_INSTANT) from None
    # Rounded down as epoch_ms does, which divides timedeltas: 0.1 µs an event more.
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


# The shape alone, which fromisoformat is free with; that digits are digits and days exist, it sees to.
# RFC 3339, and the seconds may be left out, as ISO 8601 lets JavaScript's and Python's users do.
_RFC3339 = re.compile(r"....-..-..[Tt ]..:..(?::..(?:\.[0-9]+)?)?(?:[Zz]|[+-]..:..)").fullmatch
_NO_INSTANT = "must be RFC 3339 with an offset, like 2025-01-31T12:00:00Z, or epoch milliseconds"
