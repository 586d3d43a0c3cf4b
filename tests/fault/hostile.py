"""Bodies that mean no good, each with the good events that may be hidden in it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import zstandard
from hypothesis import strategies as st

from tests.compression import bare_deflate, in_pieces
from tests.fault.load import JSON, NDJSON, make_events
from tests.service import Json
from tests.test_bad_events import UNDECODABLE

_MB = 2**20


@dataclass(frozen=True)
class Hostile:
    body: bytes = field(repr=False)
    headers: dict[str, str]
    good: list[Json] = field(default_factory=list)
    """Its acceptable events; where there are any, all of them must be taken."""
    chunked: bool = False
    """Sent without announcing a length."""


def handwritten() -> Iterator[Hostile]:
    """Too large, or too clever, to be made up by chance; at most 110 MB each, made one at a time."""
    for compress, name in _COMPRESSORS:
        yield Hostile(compress(b" " * (100 * _MB)), {"Content-Encoding": name})
        yield Hostile(compress(b'{"blog_id": "' + b"x" * (60 * _MB) + b'"}'), {"Content-Encoding": name})
        yield Hostile(compress(b"[" + b"{}," * 3_000_000 + b"{}]"), {"Content-Encoding": name})
        yield Hostile(compress(b"1\n" * 5_000_000), {"Content-Encoding": name, "Content-Type": NDJSON})
        yield Hostile(in_pieces(compress, 100_000)(b'{"blog_id": "a"}'), {"Content-Encoding": name})
    nested = gzip.compress(gzip.compress(b" " * (60 * _MB)))
    yield Hostile(nested, {"Content-Encoding": "gzip"})
    yield Hostile(nested, {"Content-Encoding": "gzip, gzip"})
    for chunked in (False, True):
        yield Hostile(b"x" * (100 * _MB), {"Content-Type": NDJSON}, chunked=chunked)
        yield Hostile(b'{"blog_id": "' + b"x" * (9 * _MB) + b'"}', {}, chunked=chunked)
        yield Hostile(b"," * (9 * _MB), {}, chunked=chunked)
        yield Hostile(b"[" + b"1," * 900_000 + b"1]", {}, chunked=chunked)
        yield Hostile(b"[" + b"{}," * 99_999 + b"{}]", {}, chunked=chunked)
        yield Hostile(b"{}\n" * 100_000, {"Content-Type": NDJSON}, chunked=chunked)
        yield Hostile(b"[" * (5 * _MB), {}, chunked=chunked)
        yield Hostile(b'{"a":' * _MB, {}, chunked=chunked)
        yield Hostile(b'{"blog_id":' + b"9" * (5 * _MB) + b"}", {}, chunked=chunked)


def bodies(rng: Random) -> st.SearchStrategy[Hostile]:
    """Small ones by the thousand. `rng` gives the good events their ids."""
    good = st.integers(1, 5).map(lambda count: make_events(rng, count))
    mixed = st.builds(_mix, good, st.lists(_BAD_ITEMS, max_size=8), st.booleans(), st.booleans())
    useless = st.builds(_mix, good.map(_spoilt), st.lists(_NEVER_GOOD, max_size=8), st.booleans(), st.booleans())
    sound = st.one_of(mixed, st.builds(_compressed, mixed, st.sampled_from(_COMPRESSORS)))
    damaged = st.one_of(useless, st.builds(_compressed, useless, st.sampled_from(_COMPRESSORS)))
    broken = st.builds(_damaged, damaged, st.sampled_from(_DAMAGE), st.floats(0, 1, exclude_max=True))
    noise = st.builds(Hostile, st.binary(max_size=200) | _JSON_TEXT, _HEADERS, chunked=st.booleans())
    return st.one_of(sound, broken, noise)


_COMPRESSORS: list[tuple[Callable[[bytes], bytes], str]] = [
    (gzip.compress, "gzip"),
    (zlib.compress, "deflate"),
    (bare_deflate, "deflate"),
    (zstandard.compress, "zstd"),
]

# Nobody's blog_id is right by chance: what is not in the books must not be counted.
_NAMES = st.text(max_size=5).filter(lambda name: name != "blog_id")
_JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=10,
)
_JSON_TEXT = _JSON_VALUES.map(lambda value: json.dumps(value).encode())  # NaN and Infinity as Python writes them

_WRONG: dict[str, list[Any]] = {
    "blog_id": [None, "", "x" * 129, True, 1.5, [], {}, "a\0", 10**400, float("nan")],
    "event_id": ["", "no", 5, "g" * 32, {}, "\u0660" * 32],
    "viewed_at": ["", "now", -1, 10**30, float("inf"), "2025-02-30T00:00:00Z", []],
    "site": ["", "x" * 254, 1, "\x7f", [None]],
    "country": ["ZZ", "E", " ", 7, "ﬁ"],
}
_BAD_FIELDS = st.sampled_from(
    [json.dumps({"blog_id": "b1", name: value}).encode() for name, values in _WRONG.items() for value in values]
)

# Without a blog_id: where the name of its wrong field is damaged, an item that has one is right.
_NEVER_GOOD = st.one_of(
    _JSON_TEXT,
    st.sampled_from([b"[" * 900 + b"]" * 900, b'{"a":' * 500 + b"1" + b"}" * 500]),
)
_BAD_ITEMS = st.one_of(
    _NEVER_GOOD,
    _BAD_FIELDS,
    st.sampled_from([text.encode(errors="surrogateescape") for text in UNDECODABLE]),
    st.just(b'{"blog_id":"a","blog_id":[]}'),
)

_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(
            [
                *(JSON, NDJSON, "text/plain", "application/json; charset=utf-16", "application/json; charset=latin-1"),
                *("multipart/form-data; boundary=x", "", ";", "application/json;charset=" + "x" * 500),
            ]
        ),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "zstd", "br", "identity", "gzip, gzip", "", "x"]),
    },
)


def _mix(good: list[Json], bad: list[bytes], lines: bool, marked: bool) -> Hostile:
    """Good and bad items in turn, as lines or as an array; some with a byte order mark and CRLF."""
    items = [json.dumps(event).encode() for event in good]
    for place, item in enumerate(bad):
        # An array ends at an item that is no JSON; a line costs only itself.
        items.insert(2 * place + 1, item if lines else _as_json(item))
    newline = b"\r\n" if marked else b"\n"
    body = newline.join(items) if lines else b"[" + (b"," + newline).join(items) + b"]"
    headers = {"Content-Type": NDJSON if lines else JSON}
    return Hostile(b"\xef\xbb\xbf" + body if marked else body, headers, good, chunked=marked)


def _as_json(item: bytes) -> bytes:
    """NaN is none, and would cost the whole array; a number that no float can hold is."""
    return item.replace(b"NaN", b"1e999").replace(b"Infinity", b"1e999")


def _spoilt(events: list[Json]) -> list[Json]:
    """So wrong that no damage makes them right."""
    return [{**event, "blog_id": None, "country": "ZZ", "viewed_at": -1} for event in events]


def _compressed(of: Hostile, how: tuple[Callable[[bytes], bytes], str]) -> Hostile:
    return Hostile(how[0](of.body), {**of.headers, "Content-Encoding": how[1]}, of.good, of.chunked)


def _damaged(of: Hostile, damage: Callable[[bytes, int], bytes], where: float) -> Hostile:
    """There must be nothing good in it: nobody could say what survives."""
    return Hostile(damage(of.body, int(where * len(of.body))), of.headers, chunked=of.chunked)


_DAMAGE: list[Callable[[bytes, int], bytes]] = [
    lambda body, at: body[:at],
    lambda body, at: body[:at] + b"\0" + body[at + 1 :],
    lambda body, at: body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :],
    lambda body, at: body + body[at:],
    lambda body, at: body[at:] + body[:at],
    lambda body, at: body.decode("latin-1").encode("utf-16"),
]
