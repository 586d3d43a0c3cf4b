"""Which hits are page views, and the event each of them becomes."""

import mimetypes
import re
from functools import cache
from hashlib import sha256
from posixpath import splitext
from typing import TypedDict
from urllib.parse import unquote

from service.imports.combined import Hit
from service.imports.crawlers import is_crawler
from service.imports.event_ids import EventIds
from service.imports.reasons import Reason

BLOG_ID_LENGTH = 128

# What pages load and readers download that the tables of Python 3.11 do not name (later ones know fonts).
_LOADED = (".woff", ".woff2", ".ttf", ".otf", ".eot", ".map", ".ogg", ".rss", ".atom")
_DOWNLOADED = (".jar", ".deb", ".rpm", ".dmg", ".iso", ".7z", ".rar", ".log")
_PAGE_TYPES = {"text/html", "application/xhtml+xml"}
# Where WordPress, Ghost and most generators put a feed that has no extension.
_FEED_NAMES = {"feed", "rss", "atom"}


class View(TypedDict):
    """One event for POST /api/events."""

    event_id: str
    site: str
    blog_id: str
    viewed_at: str  # RFC 3339, UTC
    viewer_id: str
    url: str  # the request target as logged, query string included
    referrer: str


def to_view(hit: Hit, raw: bytes, site: str, match: re.Pattern[str] | None, ids: EventIds) -> View | Reason:
    """The event of a page view, or why the hit is none. `raw` is the line it was parsed from."""
    blog_id = page(hit, match)
    if isinstance(blog_id, Reason):
        return blog_id
    if is_crawler(hit.user_agent):
        return Reason.CRAWLER
    return {
        "event_id": ids.next_id(site, raw),
        "site": site,
        "blog_id": blog_id,
        "viewed_at": f"{hit.viewed_at.isoformat()[:19]}Z",
        "viewer_id": daily_id(hit),
        "url": hit.target,
        "referrer": hit.referrer,
    }


def page(hit: Hit, match: re.Pattern[str] | None) -> str | Reason:
    """The blog_id of the page asked for, or why none is.

    `match` alone decides which paths are pages, searched in the path as logged; None takes all but assets.
    """
    if hit.method != "GET":
        return Reason.METHOD
    if hit.status != 200:
        return Reason.STATUS
    path = hit.target.partition("?")[0]
    if not path.startswith("/"):
        return Reason.TARGET
    if match is None:
        if is_asset(path):
            return Reason.ASSET
    elif not match.search(path):
        return Reason.UNMATCHED
    return path if len(path) <= BLOG_ID_LENGTH else _decoded(path)


def is_asset(path: str) -> bool:
    """True for a path that by its extension is no HTML page, or is a feed by name."""
    stem, extension = splitext(path)
    if extension:
        return extension.lower() in _asset_extensions()
    return stem.rstrip("/").rpartition("/")[2].lower() in _FEED_NAMES


def daily_id(hit: Hit) -> str:
    """The same for one address and user agent within a UTC day, and different the next day."""
    return sha256(f"{hit.viewed_at.date()}\0{hit.ip}\0{hit.user_agent}".encode()).hexdigest()[:32]


def _decoded(path: str) -> str | Reason:
    """A path in its own letters, of which percent-encoding makes 6 to 9 characters each beyond ASCII.

    Only where the logged form does not fit a blog_id; else the id is what any other count of the log says.
    """
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        return Reason.LONG_PATH
    return decoded if len(decoded) <= BLOG_ID_LENGTH and decoded.isprintable() else Reason.LONG_PATH


@cache
def _asset_extensions() -> frozenset[str]:
    known = mimetypes.MimeTypes()  # Python's own tables, not the host's /etc/mime.types
    types = known.types_map[0] | known.types_map[1]
    others = {extension for extension, kind in types.items() if kind not in _PAGE_TYPES}
    return frozenset({*others, *known.encodings_map, *known.suffix_map, *_LOADED, *_DOWNLOADED})
