"""One line of the combined log format of Apache and nginx.

    %h %l %u [%d/%b/%Y:%H:%M:%S %z] "%r" %>s %b "%{Referer}i" "%{User-Agent}i"

Format: https://httpd.apache.org/docs/2.4/logs.html#combined
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from service.imports.reasons import Reason

# strptime's %b reads the month in the process's locale; logs are written in C.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# A quoted field ends at the first quote that no backslash escapes. The possessive `*+` never looks back, so
# a line is refused in one pass, whatever it holds.
_QUOTED = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'

# The referrer and user agent may be missing (the common format); what vendors append after them is not read.
# A field whose closing quote is missing is a cut line, not a missing field: it does not match.
_LINE = re.compile(
    r'(\S+) \S+ (?:[^"]+?|"") '
    r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    rf"{_QUOTED} (\d{{3}}) (?:\d+|-)(?: {_QUOTED}(?: {_QUOTED}(?: .*)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request as the server logged it.

    Text stands as in the log, escapes (`\\"`, `\\xe4`) included; a field logged as `-` or not at all is "".
    A request that is not HTTP (a TLS handshake on port 80) has its first word, or "", as `method`.
    """

    ip: str
    viewed_at: datetime  # UTC
    method: str
    target: str
    status: int
    referrer: str
    user_agent: str


def parse(raw: bytes) -> Hit | Reason:
    """Read one line, without its line break; NOT_COMBINED or BAD_TIMESTAMP if it is none.

    Bytes that are no UTF-8 become U+FFFD, so every field is text that JSON can carry.
    """
    found = _LINE.fullmatch(raw.decode("utf-8", "replace"))
    if found is None:
        return Reason.NOT_COMBINED
    ip, time, request, status, referrer, user_agent = found.groups()
    viewed_at = _utc(time)
    if viewed_at is None:
        return Reason.BAD_TIMESTAMP
    method, _, rest = request.partition(" ")
    target = rest.rsplit(" HTTP/", 1)[0]
    return Hit(ip, viewed_at, method, target, int(status), _given(referrer), _given(user_agent))


def _given(field: str | None) -> str:
    return "" if field is None or field == "-" else field


@lru_cache(maxsize=4096)  # the lines of one second stand together
def _utc(time: str) -> datetime | None:
    """`17/May/2015:10:05:03 +0000` in UTC; None when there is no such time."""
    try:
        local = datetime(
            int(time[7:11]),
            _MONTHS.index(time[3:6]) + 1,
            int(time[:2]),
            int(time[12:14]),
            int(time[15:17]),
            int(time[18:20]),
            tzinfo=UTC,
        )
        ahead = timedelta(hours=int(time[22:24]), minutes=int(time[24:26]))
        return local + ahead if time[21] == "-" else local - ahead
    except (ValueError, OverflowError):
        return None
