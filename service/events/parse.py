"""From JSON to valid events: each item is either an Event or a rejection that names the field and the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

import msgspec
from uuid_utils import uuid7

from clickhouse.events import Event
from clickhouse.instants import epoch_ms
from service import countries
from service.events.body import Format
from service.problems import NotJson, TooLarge

EARLIEST = epoch_ms(datetime(2000, 1, 1, tzinfo=UTC))
AHEAD = timedelta(minutes=10) // timedelta(milliseconds=1)

MAX_ID = 128
MAX_SITE = 253  # a domain name
MAX_TEXT = 8_192
DEFAULT_SITE = "default"
MAX_EVENTS = 100_000  # a request; one batch holds as many
_TOO_MANY = TooLarge(f"at most {MAX_EVENTS} events a request")


class EventIn(msgspec.Struct):
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


@dataclass(frozen=True)
class Defaults:
    """What fills in for absent fields: the moment (epoch ms), the proxy's country, the private daily viewer."""

    now: int
    country: str
    viewer: Callable[[str], int]
    """The viewer of a site when the client names none."""


@dataclass(frozen=True)
class Parsed:
    events: list[Event]
    given_ids: frozenset[int]
    """Positions in `events` whose event_id came from the client."""
    rejected: list[Rejection]


Item = EventIn | Rejection

_one = msgspec.json.Decoder(EventIn)
_many = msgspec.json.Decoder(list[EventIn])
_raw = msgspec.json.Decoder(list[msgspec.Raw])


def split(form: Format, body: bytes) -> list[Item]:
    """The body's items in order.

    Raises:
        NotJson: it is no JSON (for NDJSON: not one line is).
        TooLarge: more than MAX_EVENTS items.
    """
    # Looked at before decoding: 64 MiB of `1,1,1,…` are 32 million items. An event has at most 20 commas.
    if body.count(b"\n") > MAX_EVENTS if form is Format.NDJSON else body.count(b",") > 20 * MAX_EVENTS:
        raise _TOO_MANY
    items = _items(form, body)
    if len(items) > MAX_EVENTS:
        raise _TOO_MANY
    return items


def _items(form: Format, body: bytes) -> list[Item]:
    if form is Format.NDJSON:
        return _lines(body)
    try:
        if body.lstrip()[:1] == b"[":
            return _array(body)
        return [_decode(0, body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson("the body is not JSON") from error


def _array(body: bytes) -> list[Item]:
    try:
        return [*_many.decode(body)]
    except msgspec.ValidationError:
        return [_decode(index, raw) for index, raw in enumerate(_raw.decode(body))]


def _lines(body: bytes) -> list[Item]:
    try:
        return [*_one.decode_lines(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        lines = [line for line in body.split(b"\n") if line.strip()]
        items = [_decode_line(index, line) for index, line in enumerate(lines)]
        if all(isinstance(item, Rejection) and item.reason == _NOT_JSON for item in items):
            raise NotJson("the body is not NDJSON: no line is JSON") from None
        return items


_NOT_JSON = "not JSON"


def _decode_line(index: int, line: bytes) -> Item:
    try:
        return _decode(index, line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Rejection(index, "", _NOT_JSON)


def _decode(index: int, raw: bytes | msgspec.Raw) -> Item:
    try:
        return _one.decode(raw)
    except msgspec.ValidationError as error:
        # "Expected `str | null`, got `array` - at `$.site`"
        text, _, path = str(error).partition(" - at `$")
        field = path.strip("`").lstrip(".")
        return Rejection(index, field, _plain(text) if field else "must be a JSON object")


def _plain(text: str) -> str:
    wanted = re.search(r"Expected `([^`]*)`", text)
    kinds = wanted[1].replace(" | null", "").replace("str", "a string").replace("int", "an integer") if wanted else ""
    return f"must be {kinds.replace(' | ', ' or ')}" if kinds else text


class _Wrong(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason


def parse(items: Iterable[Item], defaults: Defaults, first_index: int = 0) -> Parsed:
    """Validates and normalises; what is wrong with one item never costs another."""
    events: list[Event] = []
    given: set[int] = set()
    rejected: list[Rejection] = []
    for index, item in enumerate(items, first_index):
        if isinstance(item, Rejection):
            rejected.append(item)
            continue
        try:
            event = _event(item, defaults)
        except _Wrong as wrong:
            rejected.append(Rejection(index, wrong.field, wrong.reason))
            continue
        if item.event_id is not None:
            given.add(len(events))
        events.append(event)
    return Parsed(events, frozenset(given), rejected)


def _event(item: EventIn, defaults: Defaults) -> Event:
    site = DEFAULT_SITE if item.site is None else _text("site", item.site, MAX_SITE)
    if item.blog_id is None:
        raise _Wrong("blog_id", "is required")
    return Event(
        event_id=uuid7().bytes if item.event_id is None else _uuid(item.event_id),
        site=site,
        blog_id=_text("blog_id", item.blog_id, MAX_ID),
        author_id="" if item.author_id is None or item.author_id == "" else _text("author_id", item.author_id, MAX_ID),
        country=defaults.country if item.country is None else _country(item.country),
        viewer=defaults.viewer(site) if item.viewer_id is None else hash_viewer(site, _viewer(item.viewer_id)),
        viewed_at=defaults.now if item.viewed_at is None else _viewed_at(item.viewed_at, defaults.now),
        received_at=defaults.now,
        url=_url("url", item.url),
        referrer=_url("referrer", item.referrer),
    )


def _text(field: str, value: str | int, longest: int) -> str:
    text = value if isinstance(value, str) else str(value)
    if not 0 < len(text) <= longest:
        raise _Wrong(field, f"must have 1 to {longest} characters")
    if not text.isprintable() and _CONTROL.search(text):
        raise _Wrong(field, "must not hold control characters")
    return text


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _url(field: str, value: str | None) -> str:
    if value is None:
        return ""
    if len(value) > MAX_TEXT:
        raise _Wrong(field, f"must have at most {MAX_TEXT} characters")
    return value


def _uuid(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        raise _Wrong("event_id", "must be a UUID") from None


@lru_cache(maxsize=1024)
def _country(code: str) -> str:
    try:
        return countries.normalise(code)
    except ValueError as error:
        raise _Wrong("country", str(error)) from None


def _viewer(viewer_id: str | int) -> str:
    return _text("viewer_id", viewer_id, 2 * MAX_ID)


def hash_viewer(site: str, viewer_id: str) -> int:
    """64 bits; the site is part of it, so one person cannot be followed from site to site."""
    return int.from_bytes(blake2b(f"{site}\0{viewer_id}".encode(), digest_size=8).digest(), "little")


def _viewed_at(value: str | int, now: int) -> int:
    moment = value if isinstance(value, int) else _rfc3339(value)
    if not EARLIEST <= moment <= now + AHEAD:
        raise _Wrong("viewed_at", "must lie between 2000-01-01 and ten minutes from now")
    return moment


def _rfc3339(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise _Wrong("viewed_at", _NO_INSTANT) from None
    if moment.tzinfo is None:
        raise _Wrong("viewed_at", _NO_INSTANT)
    return epoch_ms(moment)


_NO_INSTANT = "must be RFC 3339 with an offset, like 2025-01-31T12:00:00Z, or epoch milliseconds"
