"""Dates and timestamps as clients write them, as half-open spans of UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from clickhouse.periods import midnight

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MILLISECOND = timedelta(milliseconds=1)


def is_date(text: str) -> bool:
    """Whether it looks like one; the day need not exist."""
    return _DATE.fullmatch(text) is not None


def span(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A date is its whole day in `zone`, a timestamp with offset its millisecond; `[start, end)` in UTC.

    Between two milliseconds nothing is stored: the span of such a timestamp is empty and stands at the later one.

    Raises:
        ValueError: it is neither; the message says what would be right.
    """
    try:
        if is_date(text):
            day = date.fromisoformat(text)
            return midnight(day, zone), midnight(day + timedelta(days=1), zone)
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
            past = timedelta(microseconds=moment.microsecond % 1000)
            following = moment - past + _MILLISECOND
            return (following if past else moment), following
    except (ValueError, OverflowError):
        pass
    raise ValueError("must be a date like 2025-01-31, or a timestamp with offset like 2025-01-31T12:00:00Z")
