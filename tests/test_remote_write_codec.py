"""Bodies of Prometheus remote write: read back as they were written, and refused in one line where they are broken."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from cramjam import snappy
from hypothesis import given
from hypothesis import strategies as st

from service.remote_write import codec
from service.remote_write.codec import MAX_SAMPLES, BodyTooLarge, BrokenBody, Series, decode, encode

LIMIT = 2**20

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SERIES = st.builds(
    Series,
    st.lists(st.tuples(TEXT, TEXT), max_size=5),
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)), max_size=5),
)


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def label(name: bytes, value: bytes) -> bytes:
    return field(1, field(1, name) + field(2, value))


def sample(milliseconds: int, value: float) -> bytes:
    return field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(milliseconds))


def body(message: bytes) -> bytes:
    return bytes(snappy.compress_raw(message))


@given(st.lists(SERIES, max_size=5))
def test_what_was_encoded_is_decoded(series: list[Series]) -> None:
    assert [*decode(encode(series), LIMIT).series] == series


def test_a_body_written_by_hand_is_read_and_the_unknown_passed_over() -> None:
    known = label(b"__name__", b"up") + label(b"job", b'a,"b"') + sample(1_700_000_000_000, 1.5) + sample(5, -0.0)
    # Exemplars and a native histogram, a label's third field, and a number of the future.
    others = field(3, b"x") + field(3, b"") + field(4, b"y") + field(1, field(9, b"?")) + field(77, b"?")
    written = decode(body(field(1, known + others) + field(3, b"meta") + field(500, b"?")), LIMIT)
    [series] = written.series
    assert series.labels == [("__name__", "up"), ("job", 'a,"b"'), ("", "")]
    assert series.samples == [(1_700_000_000_000, 1.5), (5, 0.0)]
    assert math.copysign(1, series.samples[1][1]) == -1
    assert (written.metadata, written.exemplars, written.histograms) == (1, 2, 1)


def test_the_bits_of_a_staleness_marker_are_kept() -> None:
    stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]
    [series] = decode(body(field(1, sample(1, stale))), LIMIT).series
    assert struct.pack("<d", series.samples[0][1]) == struct.pack("<Q", 0x7FF0_0000_0000_0002)


def test_a_label_that_is_no_utf_8_costs_its_own_series_only() -> None:
    broken, whole = field(1, label(b"a", b"\xff") + sample(1, 1)), field(1, label(b"a", b"b") + sample(1, 1))
    assert [one.labels for one in decode(body(broken + whole), LIMIT).series] == [None, [("a", "b")]]


WHOLE = encode([Series([("__name__", "up"), ("job", "prometheus")], [(1_700_000_000_000, 1.0)])])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_broken(garbage: bytes) -> None:
    for sent in (garbage, body(garbage), WHOLE + garbage[:1], WHOLE[: len(garbage) % len(WHOLE)]):
        with suppress(BrokenBody, BodyTooLarge):
            assert all(series.labels is None or len(series.labels) < 100 for series in decode(sent, LIMIT).series)


@pytest.mark.parametrize(
    "broken",
    [b"", b"\xff", WHOLE[:-1], b"{}", body(b"\x0a\xff"), body(b"\x0a\x02\x0a\x05"), body(b"\xff" * 20)],
)
def test_a_broken_body_says_so(broken: bytes) -> None:
    with pytest.raises(BrokenBody):
        decode(broken, LIMIT)


def test_of_a_series_with_a_million_labels_no_more_than_it_takes_to_refuse_it_is_made() -> None:
    [series] = decode(body(field(1, b"\x0a\x00" * 1_000_000)), LIMIT * 16).series
    assert series.labels == [("", "")] * 1_000


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: varint(2**32 - 1) + b"\0" * 40,
        lambda: body(b"\0" * (LIMIT * 16 + 1)),
        lambda: body(b"\x0a\x00" * 4_000_001),
        lambda: body(field(1, b"\x8a\x00\x00" * 4_000_001)),
        lambda: body(b"\x0a\x00" * (MAX_SAMPLES + 1)),
        lambda: body(field(1, b"\x12\x00" * (MAX_SAMPLES + 1))),
    ],
    ids=["announced", "zeros", "series", "long tags", "too many series", "too many samples"],
)
def test_a_bomb_is_refused_before_it_goes_off(bomb: Callable[[], bytes]) -> None:
    with pytest.raises(BodyTooLarge):
        decode(bomb(), LIMIT * 16)


def test_fields_are_counted_wherever_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is looked at in slices."""
    monkeypatch.setattr(codec, "_MAX_FIELDS", 999_999)
    monkeypatch.setattr(codec, "_SLICE", 1_001)
    with pytest.raises(BodyTooLarge):
        decode(body(field(1, b"\x0a\x00" * 999_999)), LIMIT * 16)
    assert [*decode(body(field(1, b"\x0a\x00" * 999_998)), LIMIT * 16).series]
