"""Lengths of time as given on a command line: `90s`, `5m`, `12h`, `21d`; a bare number is minutes."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd]?)", re.IGNORECASE | re.ASCII)


def seconds(text: str) -> int:
    """At least 1. Raises ValueError with one line that says what would be right."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: write 30s, 5m, 12h or 21d; a bare number is minutes")
    found = int(match[1]) * _SECONDS[match[2].lower() or "m"]
    if found < 1:
        raise ValueError(f"{text!r} is too short: it has to be 1 second at least")
    return found
