"""Which time a job is about: days and timestamps, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from clickhouse.instants import epoch_ms
from clickhouse.spans import Span
from service.analytics.moments import is_date, span
from service.analytics.ranges import FIRST, LAST
from service.problems import Invalid

_UTC = ZoneInfo("UTC")


def asked_span(start: str | None, end: str | None, now: datetime) -> Span | None:
    """A date is its whole day, `end` included; a timestamp is exact. None: all there is. Raises Invalid."""
    if start is None and end is None:
        return None
    first = FIRST if start is None else _moment("start", start, is_end=False)
    last = now if end is None else _moment("end", end, is_end=True)
    if start is not None and first >= last:
        raise Invalid.field("start", "must be before end" if end is not None else "must not lie ahead")
    return Span(epoch_ms(first), epoch_ms(last))


def _moment(field: str, text: str, *, is_end: bool) -> datetime:
    try:
        first, after = span(text, _UTC)
    except ValueError as error:
        raise Invalid.field(field, str(error)) from None
    moment = after if is_end and is_date(text) else first
    if not FIRST <= moment <= LAST:
        raise Invalid.field(field, f"must lie between {FIRST:%Y-%m-%d} and {LAST:%Y-%m-%d}")
    return moment.astimezone(UTC)
