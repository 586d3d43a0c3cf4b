"""`readership import`, the pure half: what a line of a file becomes."""

import gzip
import json
import re
import uuid
from collections import Counter
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from crawlerdetect import CrawlerDetect  # ships no py.typed
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports import lines, ndjson
from service.imports.event_ids import EventIds
from service.imports.events import EventLine, FileFormat, Reading, SkippedLine, read_events
from service.imports.reasons import Reason
from service.imports.tally import Tally
from tests.access_log import log_line

REAL_LOG = Path(__file__).parents[2] / "shared" / "data" / "semicomplete_access.log"


def events_of(
    path: Path, format: FileFormat = FileFormat.COMBINED, match: str | None = None
) -> tuple[list[dict[str, str]], Tally]:
    tally, events = Tally(), []
    for item in read_events(path, Reading(format, "s", re.compile(match) if match else None)):
        tally.add(item)
        if isinstance(item, EventLine):
            events.append(cast("dict[str, str]", dict(item.fields)))
    return events, tally


# --- event ids ----------------------------------------------------------------------------------------------


def test_identical_lines_are_two_events_and_keep_their_ids_in_a_second_import() -> None:
    lines_of_file = [b"a", b"b", b"a", b"a"]
    first, second = EventIds(), EventIds()
    ids = [first.next_id("s", line) for line in lines_of_file]
    assert len(set(ids)) == 4
    assert ids == [second.next_id("s", line) for line in lines_of_file]


def test_an_id_is_the_hash_of_site_line_and_occurrence_so_no_release_may_change_it() -> None:
    ids = EventIds()
    for occurrence in (b"0", b"1"):
        digest = sha256(b"s\0line\0" + occurrence).digest()
        bits = int.from_bytes(digest[:16]) & ~(0xF << 76) & ~(0b11 << 62) | (8 << 76) | (0b10 << 62)
        assert ids.next_id("s", b"line") == str(uuid.UUID(int=bits))
    assert EventIds().next_id("s", b"line") == "a746c9da-02a5-85c0-8725-0470231a0841"


@pytest.mark.parametrize(("between", "told_apart"), [(0, True), (7, True), (16, False)])
def test_a_line_is_remembered_until_that_many_others_have_passed(between: int, told_apart: bool) -> None:
    ids = EventIds(remember=8)
    first = ids.next_id("s", b"line")
    for n in range(between):
        ids.next_id("s", b"other %d" % n)
    assert (ids.next_id("s", b"line") != first) is told_apart


# --- ndjson -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"blog_id": 7, "event_id": "x"}', {"blog_id": 7, "event_id": "x", "site": "s"}),
        (b'{"site": "t", "event_id": "x"}', {"site": "t", "event_id": "x"}),
        (b'\xef\xbb\xbf{"event_id": "x", "site": null}', {"event_id": "x", "site": "s"}),
        (
            b'{"event_id": "x", "title": "\\ud83d\\ude00 \\u00e9"}',
            {"event_id": "x", "title": "😀 é", "site": "s"},
        ),
        (b'{"event_id": "\\ud800"}', Reason.NOT_UTF8),
        (b'{"title": "\xe9"}', Reason.NOT_UTF8),
        (b'{"blog_id": 7', Reason.NOT_JSON),
        (b'{"blog_id": 7} {"blog_id": 8}', Reason.NOT_JSON),
        (b'{"x": NaN}', Reason.NOT_JSON),
        (b'{"x": 1e999}', Reason.NOT_JSON),
        (b"[" * 100_000, Reason.NOT_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b"7", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
    ],
)
def test_a_line_of_ndjson_is_an_event_or_a_reason(line: bytes, expected: dict[str, object] | Reason) -> None:
    assert ndjson.to_event(line, "s", EventIds()) == expected


def test_an_ndjson_line_without_event_id_gets_the_same_one_in_every_import(tmp_path: Path) -> None:
    path = tmp_path / "views.ndjson"
    path.write_bytes(b'{"blog_id":"a"}\n{"blog_id":"a"}\n\n{"blog_id":"a","event_id":null}\noops\n')
    first, tally = events_of(path, FileFormat.NDJSON)
    second, _ = events_of(path, FileFormat.NDJSON)
    assert first == second
    assert len({event["event_id"] for event in first}) == 3
    assert tally.skipped == {Reason.BLANK: 1, Reason.NOT_JSON: 1}
    assert [(sample.line, sample.text) for sample in tally.samples] == [(5, "oops")]


# --- files --------------------------------------------------------------------------------------------------


def test_a_gzip_file_holds_the_events_of_the_plain_one(tmp_path: Path) -> None:
    text = b"\n".join(log_line(f"/p{n % 7}") for n in range(500))
    plain, zipped = tmp_path / "access.log", tmp_path / "access.log.1.gz"
    plain.write_bytes(text)
    zipped.write_bytes(gzip.compress(text))
    assert events_of(zipped) == events_of(plain)


@pytest.mark.parametrize("name", ["access.log", "access.log.gz"])
def test_the_offset_grows_to_the_size_of_the_file_on_disk(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = b"".join(log_line(f"/{n}") + b"\n" for n in range(2000))
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    offsets = [item.offset for item in read_events(path, Reading(FileFormat.COMBINED, "s"))]
    assert all(before <= after for before, after in pairwise(offsets))
    assert offsets[-1] == path.stat().st_size


def test_a_cut_gzip_file_gives_its_whole_lines_and_then_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"".join(log_line(f"/{n}") + b"\n" for n in range(5000)))[:-2000])
    items = read_events(path, Reading(FileFormat.COMBINED, "s"))
    assert isinstance(next(items), EventLine)
    with pytest.raises(OSError, match=r"access\.log\.gz"):
        list(items)


def test_ids_do_not_depend_on_line_breaks_or_on_what_follows(tmp_path: Path) -> None:
    unix, windows, grown = (tmp_path / name for name in ("unix", "windows", "grown"))
    unix.write_bytes(log_line("/a") + b"\n" + log_line("/b"))
    windows.write_bytes(log_line("/a") + b"\r\n" + log_line("/b") + b"\r\n")
    grown.write_bytes(log_line("/a") + b"\n" + log_line("/b") + b"\n" + log_line("/c") + b"\n")
    assert events_of(windows)[0] == events_of(unix)[0] == events_of(grown)[0][:2]


def test_a_line_over_the_limit_is_skipped_whole(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"x" * (2 * lines.LINE_LIMIT + 5) + b"\n" + log_line() + b"\n")
    too_long, event = read_events(path, Reading(FileFormat.COMBINED, "s"))
    assert isinstance(too_long, SkippedLine)
    assert (too_long.reason, len(too_long.raw)) == (Reason.TOO_LONG, lines.LINE_LIMIT)
    assert (event.number, event.offset) == (2, path.stat().st_size)


def test_the_tally_counts_every_line_once_and_shows_the_first_unparsable_ones(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    oops = [b"oops %d \xff" % n + b"." * 500 for n in range(9)]
    path.write_bytes(b"\n".join([log_line(), *oops, log_line("/a.css"), b"", log_line("/b")]))
    events, tally = events_of(path)
    assert (tally.lines, tally.events, tally.unparsable) == (13, 2, 9) == (13, len(events), len(oops))
    assert tally.skipped == {Reason.NOT_COMBINED: 9, Reason.ASSET: 1, Reason.BLANK: 1}
    assert [sample.line for sample in tally.samples] == [2, 3, 4, 5, 6]
    assert tally.samples[0].text.startswith("oops 0 �.")
    assert len(tally.samples[0].text) == 200


# --- any bytes ----------------------------------------------------------------------------------------------

fields = st.one_of(st.binary(max_size=40), st.sampled_from([b"-", b"/blog/a", b'\\"', b"[", b'"', b" "]))


@st.composite
def log_like(draw: st.DrawFn) -> bytes:
    day, month, year = draw(st.tuples(st.integers(0, 40), st.sampled_from(["Feb", "May", "Mai"]), st.integers(0, 9999)))
    offset = draw(st.sampled_from(["+0000", "-0800", "+9959", "+0530"]))
    time = f"[{day:02}/{month}/{year:04}:23:59:{draw(st.integers(0, 70)):02} {offset}]".encode()
    ip, target, status, referrer, agent = draw(
        st.tuples(fields, fields, st.sampled_from([b"200", b"404", b"-"]), fields, fields)
    )
    return (
        ip + b" - - " + time + b' "GET ' + target + b' HTTP/1.1" ' + status + b' 1 "' + referrer + b'" "' + agent + b'"'
    )


json_like = (
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    .map(lambda value: json.dumps(value).encode())
    .filter(lambda line: b"event_id" not in line)
)

any_lines = st.lists(st.one_of(st.binary(max_size=200), log_like(), json_like), max_size=20)


@settings(deadline=None)  # the first example compiles the crawler list
@given(raw=any_lines, format=st.sampled_from([FileFormat.COMBINED, FileFormat.NDJSON]))
def test_any_bytes_give_events_that_json_can_carry_with_the_same_distinct_ids_each_time(
    tmp_path_factory: pytest.TempPathFactory, raw: list[bytes], format: FileFormat
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(b"\n".join(raw + raw))
    first, second = (list(read_events(path, Reading(format, "s"))) for _ in range(2))
    assert first == second
    assert [item.number for item in first] == list(range(1, len(first) + 1))
    views = [item.fields for item in first if isinstance(item, EventLine)]
    json.dumps(views, ensure_ascii=False, allow_nan=False).encode()
    assert len({view["event_id"] for view in views}) == len(views)


# --- the real log -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REAL_LOG.exists(), reason=f"no {REAL_LOG}")
def test_the_real_log_counts_as_an_independent_count_says() -> None:
    agent_is_crawler = CrawlerDetect().is_crawler
    wanted, days, blog_lines, left = Counter[str](), Counter[str](), 0, 0
    for line in REAL_LOG.read_text("ascii").splitlines():
        got = re.search(r'\[(\d+)/May/2015:.* "GET (/blog/[^ ?]*)\S* HTTP/1\.[01]" 200 .* "(.*)"$', line)
        blog_lines += bool(got)
        if got and not agent_is_crawler(got[3]):
            left += 1
            wanted[got[2]] += 1
            days[f"2015-05-{got[1]}"] += 1

    events, tally = events_of(REAL_LOG, match="^/blog/")
    assert (blog_lines, 545 <= left <= 974) == (1899, True)
    assert tally.events == left == len({event["event_id"] for event in events})
    assert Counter(event["blog_id"] for event in events) == wanted
    assert Counter(event["viewed_at"][:10] for event in events) == days
    assert tally.lines == 10_000 == tally.events + tally.skipped.total()
    assert [(sample.line, sample.reason) for sample in tally.samples] == [(8899, Reason.NOT_COMBINED)]
    assert events == events_of(REAL_LOG, match="^/blog/")[0]
