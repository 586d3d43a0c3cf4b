"""`readership import --format combined`, the pure half: which lines of an access log are page views."""

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from service.imports import combined, pages
from service.imports.combined import Hit
from service.imports.crawlers import is_crawler
from service.imports.event_ids import EventIds
from service.imports.reasons import Reason
from tests.access_log import FIREFOX, log_line

AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def hit(target: str = "/blog/a", method: str = "GET", status: int = 200, agent: str = FIREFOX) -> Hit:
    return Hit("192.0.2.1", AT, method, target, status, "", agent)


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
