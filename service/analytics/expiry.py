"""What is told to who asks for single events, or samples, that have expired."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite

from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from clickhouse.plan import Expired
from service.analytics.parameters import Ranged
from service.analytics.ranges import Range
from service.problems import FieldError, Invalid

VIEWED, TAKEN = "events viewed", "samples taken"


@contextmanager
def refusing_expired(asked: Ranged, range_: Range, rows: str = VIEWED) -> Iterator[None]:
    """Raises Invalid where the body raises Expired: names the end of the range that is to blame, says what there is and
    what would work. `rows`: the words for what has expired."""
    try:
        yield
    except Expired as expired:
        reason = explanation(expired, rows)
        errors = [FieldError(field=field, message=reason) for field in _fields(asked, range_, expired)]
        raise Invalid(f"{errors[0].field}: {reason}", errors) from None


def explanation(expired: Expired, rows: str = VIEWED) -> str:
    since, end = _instant(expired.since), _instant(expired.gap.end)
    needed = f"from {_instant(expired.gap.start)} to {end}" if isfinite(expired.gap.start) else f"up to {end}"
    reason = f"{rows} before {since} have expired, and this question needs those {needed}"
    if not expired.grains:
        return f"{reason}; ask from {since} on"
    whole = expired.grains[0].name.replace("_", " ")
    return (
        f"{reason}; ask from {since} on, or let the range, its periods and conditions on time be whole {whole}s in UTC"
    )


def _fields(asked: Ranged, range_: Range, expired: Expired) -> list[str]:
    for name in ("range", "year"):
        if getattr(asked, name) is not None:
            return [name]
    ends = {"start": (range_.start, expired.gap.start), "end": (range_.end, expired.gap.end)}
    cut = [name for name, (end, of_gap) in ends.items() if end is not None and epoch_ms(end) == of_gap]
    # Else it is cut at periods or conditions, and only a later start helps.
    return cut or ["start"]


def _instant(milliseconds: float) -> str:
    return rfc3339(from_epoch_ms(int(milliseconds)))
