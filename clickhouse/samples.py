"""Samples as ClickHouse sees them: numbers of series, which are a metric and its labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple


class Sample(NamedTuple):
    """One number, valid and normalised. Times are epoch milliseconds, UTC."""

    site: str
    metric: str
    labels: str
    """As `labels_text` writes them: the same labels are the same text."""
    at: int
    value: float
    """Finite."""
    received_at: int


def labels_text(labels: Mapping[str, str]) -> str:
    """JSON, sorted by name, without spaces; a label without a value is none."""
    kept = {name: labels[name] for name in sorted(labels) if labels[name]}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
