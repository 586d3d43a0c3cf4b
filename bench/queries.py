"""The three analytics endpoints over a year of events: one request after the other, on one connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import repeat
from urllib.parse import urlencode

from bench import wire
from bench.apart import apart
from bench.service import Process
from bench.singles import percentiles

_WARM_UP = 5

# 200 requests of 25 ms; a slower question gets fewer.
_SECONDS = 5.0


def questions(site: str, now: datetime) -> dict[str, str]:
    """Name and path of each; the month is the last full one."""
    end = now.astimezone(UTC).replace(day=1) - timedelta(days=1)
    month = {"start": f"{end:%Y-%m-01}", "end": f"{end:%Y-%m-%d}"}
    asked: dict[str, tuple[str, dict[str, str]]] = {
        "countries": ("blog-views", {"group_by": "country"}),
        "countries_month": ("blog-views", {"group_by": "country", **month}),
        "top_blogs": ("top", {"top": "blog"}),
        "months": ("performance", {"compare": "month"}),
        "days": ("performance", {"compare": "day"}),
    }
    return {
        name: f"/api/analytics/{endpoint}?{urlencode({'site': site, **parameters})}"
        for name, (endpoint, parameters) in asked.items()
    }


def latencies(service: Process, paths: Mapping[str, str], requests: int) -> Iterator[tuple[str, float, float]]:
    """Name, p50 and p99 in ms of each question."""
    for name, path in paths.items():
        sent = apart(_ask, service.port, path, requests)
        yield name, *percentiles(sent.latencies)


def _ask(port: int, path: str, requests: int) -> wire.Sent:
    wire.send(port, repeat(wire.get(path), _WARM_UP), 1)
    return wire.send(port, wire.until(_SECONDS, repeat(wire.get(path), requests)), 1)
