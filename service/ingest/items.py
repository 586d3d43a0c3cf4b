"""From a body to its items, none of them decoded yet: what is wrong with one is not to cost another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import islice, repeat
from json import JSONDecoder

import msgspec

from service.ingest.body import Format
from service.problems import NotJson, TooLarge

MAX_ITEMS = 100_000  # a request; one batch holds as many

Item = bytes | msgspec.Raw
"""One event or sample as sent, not decoded yet."""

# Bytes that are split on the event loop: in 1 ms, in 30 ms if they are nothing but commas.
_AT_ONCE = 2**20

_raw = msgspec.json.Decoder(list[msgspec.Raw])


async def items_of(form: Format, body: bytes, kind: str) -> list[Item]:
    """As `split`; a large body in a thread: 64 MiB are split in 0.05 s, in 0.25 s where one item is broken."""
    return split(form, body, kind) if len(body) <= _AT_ONCE else await asyncio.to_thread(split, form, body, kind)


def split(form: Format, body: bytes, kind: str = "events") -> list[Item]:
    """The body's items in order; a byte order mark before them is passed over.

    Raises:
        NotJson: it begins like an array and is none.
        TooLarge: more than MAX_ITEMS; `kind` says of what.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    if form is Format.NDJSON and body.count(b"\n") > MAX_ITEMS:
        raise too_many(kind)
    items = _items(form, body)
    if len(items) > MAX_ITEMS:
        raise too_many(kind)
    return items


def too_many(kind: str) -> TooLarge:
    return TooLarge(f"at most {MAX_ITEMS} {kind} a request")


def _items(form: Format, body: bytes) -> list[Item]:
    if form is Format.NDJSON:
        return [line for line in body.split(b"\n") if line.strip()]
    if not _OPEN.match(body):
        return [body]
    # Looked at before splitting: 64 MiB of `1,1,1,…` are 32 million items. An event of 9 fields has 9 commas; a sample
    # may have many labels: where commas are many, items are taken one by one.
    if body.count(b",") > 10 * MAX_ITEMS:
        return [*_tolerant(body)]
    try:
        return [*_raw.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        return [*_tolerant(body)]


def _tolerant(body: bytes) -> list[bytes]:
    """The items of an array of which one holds a lone surrogate, or is nested deeply: msgspec does not find the end of
    such an item.

    The standard library does, in 0.4 s for 64 MiB, and no more than one over MAX_ITEMS; of what is too deep for it as
    well, brackets are counted. Latin-1 makes one character of each byte.
    """
    text = body.decode("latin-1")
    opened = _OPEN.match(body)
    items: list[bytes] = []
    brackets = islice(repeat(None), _MAX_BRACKETS)
    at, mark = opened.end() if opened else 0, ","
    while mark == "," and len(items) <= MAX_ITEMS:
        try:
            _, end = _scan(text, at)
        except RecursionError:
            end = _closed(text, at, brackets)
        except ValueError as error:
            raise NotJson(_NOT_JSON_BODY) from error
        items.append(body[at:end])
        after = _AFTER.match(text, end)
        if after is None:
            raise NotJson(_NOT_JSON_BODY)
        mark, at = after[1], after.end()
    if mark == "]" and at < len(text):
        raise NotJson(_NOT_JSON_BODY)
    return items


def _closed(text: str, at: int, left: Iterator[None]) -> int:
    """Where the brackets that open at `at` are closed; no more of them are looked at than are `left`."""
    depth = 0
    for token, _ in zip(_TOKEN.finditer(text, at), left, strict=False):
        mark = token[0]
        depth += 1 if mark in "[{" else -1 if mark in "]}" else 0
        if not depth:
            return token.end()
    raise NotJson(_NOT_JSON_BODY)


_MAX_BRACKETS = 10**6  # and strings; 0.3 s

_TOKEN = re.compile(r'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_OPEN = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*")
_AFTER = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")
_scan = JSONDecoder(parse_int=str, parse_float=str).raw_decode  # numbers of any length, read by nobody

_NOT_JSON_BODY = "the body is not JSON"
