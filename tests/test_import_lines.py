"""`readership import`, the pure half: what a line of a file becomes."""

import gzip
import json
import re
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from crawlerdetect import CrawlerDetect  # ships no py.typed
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports import combined, lines, ndjson, pages
from service.imports.combined import Hit
from service.imports.crawlers import is_crawler
from service.imports.event_ids import EventIds
from service.imports.events import EventLine, FileFormat, SkippedLine, read_events
from service.imports.reasons import Reason
from service.imports.tally import Tally

REAL_LOG = Path(__file__).parents[2] / "shared" / "data" / "semicomplete_access.log"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def log_line(
    target: str = "/blog/a",
    *,
    time: str = "17/May/2015:10:05:03 +0000",
    agent: str = FIREFOX,
    ip: str = "192.0.2.1",
) -> bytes:
    return f'{ip} - - [{time}] "GET {target} HTTP/1.1" 200 512 "-" "{agent}"'.encode()


def hit(target: str = "/blog/a", method: str = "GET", status: int = 200, agent: str = FIREFOX) -> Hit:
    return Hit("192.0.2.1", AT, method, target, status, "", agent)


def events_of(
    path: Path, format: FileFormat = FileFormat.COMBINED, match: str | None = None
) -> tuple[list[dict[str, str]], Tally]:
    tally, events = Tally(), []
    for item in read_events(path, format, "s", re.compile(match) if match else None):
        tally.add(item)
        if isinstance(item, EventLine):
            events.append(cast("dict[str, str]", dict(item.fields)))
    return events, tally


# --- combined: a line of the log is a Hit -------------------------------------------------------------------

PREFIX = "192.0.2.1 - - [17/May/2015:10:05:03 +0000]"
ROOT = Hit("192.0.2.1", AT, "GET", "/", 200, "", "UA")

LOG_LINES: dict[str, tuple[str, Hit | Reason]] = {
    "every field": (
        f'{PREFIX} "GET /a?b=1 HTTP/1.1" 200 12 "http://r/" "UA"',
        replace(ROOT, target="/a?b=1", referrer="http://r/"),
    ),
    "a dash is nothing": (
        f'{PREFIX} "HEAD / HTTP/2.0" 304 - "-" "-"',
        replace(ROOT, method="HEAD", status=304, user_agent=""),
    ),
    "common format: no referrer, no user agent": (
        f'{PREFIX} "GET / HTTP/1.1" 200 12',
        replace(ROOT, user_agent=""),
    ),
    "no user agent": (
        f'{PREFIX} "GET / HTTP/1.1" 200 12 "http://r/"',
        replace(ROOT, referrer="http://r/", user_agent=""),
    ),
    "vendors append fields": (
        f'{PREFIX} "GET / HTTP/1.1" 200 12 "-" "UA" "203.0.113.9" 0.004 host=x',
        ROOT,
    ),
    "an escaped quote does not end a field, and stays as logged": (
        rf'{PREFIX} "GET /\"q\" HTTP/1.1" 200 12 "http://r/?q=\"x\\" "say \"hi\""',
        replace(ROOT, target=r"/\"q\"", referrer=r"http://r/?q=\"x\\", user_agent=r"say \"hi\""),
    ),
    "IPv6": (
        f'{PREFIX.replace("192.0.2.1", "2001:db8::1")} "GET / HTTP/1.1" 200 1 "-" "UA"',
        replace(ROOT, ip="2001:db8::1"),
    ),
    "a user name with a space": (
        '192.0.2.1 - Jane Doe [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "UA"',
        ROOT,
    ),
    "Apache's empty user name, and a clock east of Greenwich": (
        '192.0.2.1 - "" [17/May/2015:12:35:03 +0230] "GET / HTTP/1.1" 200 1 "-" "UA"',
        ROOT,
    ),
    "west of Greenwich, into the next year": (
        '192.0.2.1 - - [31/Dec/2014:19:30:00 -0800] "GET / HTTP/1.1" 200 1 "-" "UA"',
        replace(ROOT, viewed_at=datetime(2015, 1, 1, 3, 30, tzinfo=UTC)),
    ),
    "spaces in the request target": (
        f'{PREFIX} "GET /a b c HTTP/1.1" 200 1 "-" "UA"',
        replace(ROOT, target="/a b c"),
    ),
    "a TLS handshake is a hit, though no GET": (
        rf'{PREFIX} "\x16\x03\x01" 400 0 "-" "UA"',
        replace(ROOT, method=r"\x16\x03\x01", target="", status=400),
    ),
    "cut in a field": (f'{PREFIX} "GET / HTTP/1.1" 200 1 "-" "cut', Reason.NOT_COMBINED),
    "cut in the status": (f'{PREFIX} "GET / HTTP/1.1" 2', Reason.NOT_COMBINED),
    "a German month": (f'{PREFIX.replace("May", "Mai")} "GET / HTTP/1.1" 200 1', Reason.BAD_TIMESTAMP),
    "32 May": (f'{PREFIX.replace("17", "32")} "GET / HTTP/1.1" 200 1', Reason.BAD_TIMESTAMP),
    "before time began": (
        '192.0.2.1 - - [01/Jan/0001:00:00:00 +0100] "GET / HTTP/1.1" 200 1',
        Reason.BAD_TIMESTAMP,
    ),
    "another format": ("#Fields: date time s-ip", Reason.NOT_COMBINED),
    "nothing": ("", Reason.NOT_COMBINED),
}


@pytest.mark.parametrize(("line", "expected"), LOG_LINES.values(), ids=LOG_LINES)
def test_a_line_of_the_combined_format_is_a_hit_or_a_reason(line: str, expected: Hit | Reason) -> None:
    assert combined.parse(line.encode()) == expected


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    parsed = combined.parse(log_line("/caf").replace(b"/caf", b"/caf\xe9"))
    assert isinstance(parsed, Hit)
    assert parsed.target == "/caf�"


# --- pages: which hits are page views -----------------------------------------------------------------------

CYRILLIC = "/" + "%D0%B1" * 100


@pytest.mark.parametrize(
    ("given_hit", "match", "expected"),
    [
        (hit("/blog/a"), None, "/blog/a"),
        (hit("/blog/a?utm_source=x&b=/c?d"), None, "/blog/a"),
        (hit("/blog/a%20b"), None, "/blog/a%20b"),
        (hit("/"), None, "/"),
        (hit("/a.html"), None, "/a.html"),
        (hit("/a.php"), None, "/a.php"),
        (hit("/releases/v1.2"), None, "/releases/v1.2"),
        (hit("/a.XHTML"), None, "/a.XHTML"),
        (hit(method="HEAD"), None, Reason.METHOD),
        (hit(method=""), None, Reason.METHOD),
        (hit(status=304), None, Reason.STATUS),
        (hit(status=206), None, Reason.STATUS),
        (hit("http://elsewhere.example/"), None, Reason.TARGET),
        (hit("*"), None, Reason.TARGET),
        *((hit(f"/x/y{kind}?v=3"), None, Reason.ASSET) for kind in (".css", ".js", ".PNG", ".jpg", ".ico")),
        *((hit(f"/x/y{kind}"), None, Reason.ASSET) for kind in (".svg", ".webp", ".woff", ".woff2", ".map")),
        *((hit(f"/x/y{kind}"), None, Reason.ASSET) for kind in (".xml", ".rss", ".atom", ".json", ".pdf")),
        *((hit(f"/x/y{kind}"), None, Reason.ASSET) for kind in (".tar.gz", ".tgz", ".zip", ".deb", ".mp4")),
        (hit("/robots.txt"), None, Reason.ASSET),
        (hit("/feed"), None, Reason.ASSET),
        (hit("/comments/feed/"), None, Reason.ASSET),
        (hit("/feeding-cats"), None, "/feeding-cats"),
        (hit("/blog/a"), "^/blog/", "/blog/a"),
        (hit("/blog/a.png"), "^/blog/", "/blog/a.png"),
        (hit("/about"), "^/blog/", Reason.UNMATCHED),
        (hit("/about?from=/blog/"), "/blog/", Reason.UNMATCHED),
        (hit("/en/blog/a"), "/blog/", "/en/blog/a"),
        (hit("/" + "x" * 127), None, "/" + "x" * 127),
        (hit("/" + "x" * 128), None, Reason.LONG_PATH),
        (hit(CYRILLIC), None, "/" + "\N{CYRILLIC SMALL LETTER BE}" * 100),
        (hit("/" + "%E1" * 100), None, Reason.LONG_PATH),
        (hit("/" + "%00" * 100), None, Reason.LONG_PATH),
    ],
)
def test_the_blog_id_is_the_path_of_a_page_without_its_query_string(
    given_hit: Hit, match: str | None, expected: str | Reason
) -> None:
    assert pages.page(given_hit, re.compile(match) if match else None) == expected


def test_a_page_view_is_an_event_of_the_api() -> None:
    viewed = Hit("192.0.2.1", AT, "GET", "/blog/a?x=1", 200, "http://r/", FIREFOX)
    view = pages.to_view(viewed, b"line", "example.org", None, EventIds())
    assert isinstance(view, dict)
    assert uuid.UUID(view["event_id"]).version == 8
    assert re.fullmatch("[0-9a-f]{1,64}", view["viewer_id"])
    assert {key: view[key] for key in ("site", "blog_id", "viewed_at", "url", "referrer")} == {
        "site": "example.org",
        "blog_id": "/blog/a",
        "viewed_at": "2015-05-17T10:05:03Z",
        "url": "/blog/a?x=1",
        "referrer": "http://r/",
    }


@pytest.mark.parametrize(
    ("time", "agent", "ip", "same"),
    [
        ("17/May/2015:23:59:59 +0000", FIREFOX, "192.0.2.1", True),
        ("18/May/2015:01:59:59 +0200", FIREFOX, "192.0.2.1", True),
        ("18/May/2015:00:00:00 +0000", FIREFOX, "192.0.2.1", False),
        ("17/May/2015:10:05:03 +0000", FIREFOX + " x", "192.0.2.1", False),
        ("17/May/2015:10:05:03 +0000", FIREFOX, "192.0.2.2", False),
    ],
)
def test_a_viewer_is_an_address_and_a_user_agent_on_one_utc_day(time: str, agent: str, ip: str, same: bool) -> None:
    first = combined.parse(log_line())
    second = combined.parse(log_line(time=time, agent=agent, ip=ip))
    assert isinstance(first, Hit)
    assert isinstance(second, Hit)
    assert (pages.daily_id(first) == pages.daily_id(second)) is same


# --- crawlers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36",
        "curl/8.4.0",
        "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/",
        "Tiny Tiny RSS/1.11 (http://tt-rss.org/)",
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)",
        "Feedfetcher-Google; (+http://www.google.com/feedfetcher.html; 3 subscribers; feed-id=1)",
        "FeedBurner/1.0 (http://www.FeedBurner.com)",
        "NewsBlur Feed Fetcher - 3 subscribers - http://www.newsblur.com/site/1 (Mozilla/5.0 (Macintosh))",
    ],
)
def test_crawlers_and_feed_fetchers_are_no_readers(agent: str) -> None:
    assert is_crawler(agent)
    assert pages.to_view(hit(agent=agent), b"", "s", None, EventIds()) is Reason.CRAWLER


@pytest.mark.parametrize(
    "agent",
    [
        FIREFOX,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 Mobile Safari/604.1",
        "Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/110.0 Mobile Safari/537.36",
        "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.16",
        "",
    ],
)
def test_browsers_are_readers(agent: str) -> None:
    assert not is_crawler(agent)


def test_only_the_first_512_characters_of_a_user_agent_are_searched() -> None:
    assert is_crawler("x" * 500 + " Googlebot")
    assert not is_crawler("x" * 512 + " Googlebot")


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
    offsets = [item.offset for item in read_events(path, FileFormat.COMBINED, "s")]
    assert all(before <= after for before, after in pairwise(offsets))
    assert offsets[-1] == path.stat().st_size


def test_a_cut_gzip_file_gives_its_whole_lines_and_then_an_os_error(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(b"".join(log_line(f"/{n}") + b"\n" for n in range(5000)))[:-2000])
    items = read_events(path, FileFormat.COMBINED, "s")
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
    too_long, event = read_events(path, FileFormat.COMBINED, "s")
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
@given(raw=any_lines, format=st.sampled_from(FileFormat))
def test_any_bytes_give_events_that_json_can_carry_with_the_same_distinct_ids_each_time(
    tmp_path_factory: pytest.TempPathFactory, raw: list[bytes], format: FileFormat
) -> None:
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(b"\n".join(raw + raw))
    first, second = (list(read_events(path, format, "s")) for _ in range(2))
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
