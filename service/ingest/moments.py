"""When an item says it happened: RFC 3339 or epoch milliseconds, neither long ago nor to come."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from clickhouse.instants import EPOCH, epoch_ms
from service.ingest.rejections import Wrong

EARLIEST = epoch_ms(datetime(2000, 1, 1, tzinfo=UTC))
AHEAD = timedelta(minutes=10) // timedelta(milliseconds=1)


def moment(field: str, value: str | int, now: int) -> int:
    """Epoch ms. Raises Wrong."""
    found = value if isinstance(value, int) else _rfc3339(field, value)
    if not EARLIEST <= found <= now + AHEAD:
        raise Wrong(field, "must lie between 2000-01-01 and ten minutes from now")
    return found


def _rfc3339(field: str, text: str) -> int:
    if not _RFC3339(text):
        raise Wrong(field, _NO_INSTANT)
    try:
        since = datetime.fromisoformat(text.replace("z", "Z")) - EPOCH
    except ValueError:
        raise Wrong(field, _NO_INSTANT) from None
    # Rounded down as epoch_ms does, which divides timedeltas: 0.1 µs an event more.
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


# The shape alone, which fromisoformat is free with; that digits are digits and days exist, it sees to.
# RFC 3339, and the seconds may be left out, as ISO 8601 lets JavaScript's and Python's users do.
_RFC3339 = re.compile(r"....-..-..[Tt ]..:..(?::..(?:\.[0-9]+)?)?(?:[Zz]|[+-]..:..)").fullmatch
_NO_INSTANT = "must be RFC 3339 with an offset, like 2025-01-31T12:00:00Z, or epoch milliseconds"
