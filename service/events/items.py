"""From a body to its items, none of them decoded yet: what is wrong with one is not to cost another."""

from __future__ import annotations

import re
from json import JSONDecoder

import msgspec

from service.events.body import Format
from service.problems import NotJson, TooLarge

MAX_EVENTS = 100_000  # a request; one batch holds as many
_TOO_MANY = f"at most {MAX_EVENTS} events a request"

Item = bytes | msgspec.Raw
"""One event as sent, not decoded yet."""

_raw = msgspec.json.Decoder(list[msgspec.Raw])


def split(form: Format, body: bytes) -> list[Item]:
    """The body's items in order; a byte order mark before them is passed over.

    Raises:
        NotJson: it begins like an array and is none.
        TooLarge: more than MAX_EVENTS items.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    # Looked at before splitting: 64 MiB of `1,1,1,…` are 32 million items. An event of 9 fields has 9 commas, so
    # what passes has 1 million at most, in 0.1 s.
    if body.count(b"\n") > MAX_EVENTS if form is Format.NDJSON else body.count(b",") > 10 * MAX_EVENTS:
        raise TooLarge(_TOO_MANY)
    items = _items(form, body)
    if len(items) > MAX_EVENTS:
        raise TooLarge(_TOO_MANY)
    return items


def _items(form: Format, body: bytes) -> list[Item]:
    if form is Format.NDJSON:
        return [line for line in body.split(b"\n") if line.strip()]
    if not _OPEN.match(body):
        return [body]
    try:
        return [*_raw.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return [*_tolerant(body)]


def _tolerant(body: bytes) -> list[bytes]:
    """The items of an array of which one holds a lone surrogate: msgspec does not find the end of such an item.

    The standard library does, in 0.4 s for 64 MiB. Latin-1 makes one character of each byte.
    """
    text = body.decode("latin-1")
    opened = _OPEN.match(body)
    items: list[bytes] = []
    at, mark = opened.end() if opened else 0, ","
    while mark == "," and len(items) <= MAX_EVENTS:
        try:
            _, end = _scan(text, at)
        except (ValueError, RecursionError) as error:
            raise NotJson(_NOT_JSON_BODY) from error
        items.append(body[at:end])
        after = _AFTER.match(text, end)
        if after is None:
            raise NotJson(_NOT_JSON_BODY)
        mark, at = after[1], after.end()
    if mark == "]" and at < len(text):
        raise NotJson(_NOT_JSON_BODY)
    return items


_OPEN = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*")
_AFTER = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")
_scan = JSONDecoder(parse_int=str, parse_float=str).raw_decode  # numbers of any length, read by nobody

_NOT_JSON_BODY = "the body is not JSON"
