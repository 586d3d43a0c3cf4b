"""What is done to one engine, in order."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from math import inf
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench import wire
from bench.apart import within
from bench.backfill.plain import plain
from bench.backfill.sender import Sender
from bench.engines import Engine
from bench.history import Figures
from bench.proc import rss_mb
from bench.query.dataset import build
from bench.service import HOST, Process
from bench.singles import percentiles
from bench.telling import told

_SECONDS = 3_000

# Seconds of the sender alone, before.
_AT_REST = 10.0

_LOOK = 0.25


def measure(engine: Engine, events: int, figures: Figures) -> None:
    """Puts all figures into `figures`. The events of the sender stay in the data, in a site of their own."""
    database = f"views_{events}"
    with told(f"{engine.name}: {events:,} events"):
        within(_SECONDS, build, engine.dsn(database), events)
    with told(f"{engine.name}: INSERT … SELECT"):
        by_grain = within(_SECONDS, plain, engine.dsn(database))
    figures |= {f"plain.{name}": seconds for name, seconds in by_grain.items()}
    with engine.service(database) as service:
        with told(f"{engine.name}: events at rest"), Sender(service.port, "waiting") as alone:
            time.sleep(_AT_REST)
        figures |= _waits("rest", alone)
        figures["memory.rest"] = sum(map(rss_mb, engine.pids(service)))
        with told(f"{engine.name}: backfill"):
            seconds, peak = _backfill(engine, service)
        figures |= _rate("alone", seconds, events, by_grain)
        before = _fence(service)
        with told(f"{engine.name}: backfill, events coming in"), Sender(service.port, "waiting") as sender:
            seconds, beside = _backfill(engine, service)
        figures |= _rate("beside", seconds, events, by_grain) | _waits("during", sender)
        figures |= _pauses(before, _fence(service)) | {"memory.peak": max(peak, beside)}


def _rate(part: str, seconds: float, events: int, by_grain: Mapping[str, float]) -> Figures:
    return {
        f"{part}.seconds": seconds,
        f"{part}.rate": events / seconds,
        f"{part}.ratio": sum(by_grain.values()) / seconds,
    }


def _fence(service: Process) -> dict[float, float]:
    """How many batches have waited up to so many seconds outside the fence."""
    families = text_string_to_metric_families(_get(service, "/metrics").decode())
    return {
        float(sample.labels["le"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "readership_fence_seconds_bucket"
    }


def _pauses(before: Mapping[float, float], after: Mapping[float, float]) -> Figures:
    """In ms, each the upper end of its class; the service counts in classes."""
    waited = {seconds: after[seconds] - before[seconds] for seconds in after}
    batches = waited[inf]
    within_ = {share: min(s for s, n in waited.items() if n >= share * batches) * 1000 for share in (0.5, 0.99, 1.0)}
    return {"fence.p50": within_[0.5], "fence.p99": within_[0.99], "fence.max": within_[1.0], "fence.batches": batches}


def _waits(part: str, sender: Sender) -> Figures:
    """In ms."""
    p50, p99 = percentiles([seconds * 1000 for seconds in sender.waits])
    return {
        f"{part}.p50": p50,
        f"{part}.p99": p99,
        f"{part}.max": max(sender.waits) * 1000,
        f"{part}.events": len(sender.waits),
    }


def _backfill(engine: Engine, service: Process) -> tuple[float, float]:
    """Seconds until it is done, and the most memory that was used (MB)."""
    asked = _call(service, "POST", "/api/backfills", {"granularity": "all"})
    began = time.perf_counter()
    peak = 0.0
    while True:
        job = _call(service, "GET", asked["status_url"])
        peak = max(peak, sum(map(rss_mb, engine.pids(service))))
        if job["status"] not in {"queued", "running"}:
            break
        time.sleep(_LOOK)
    if job["status"] != "done":
        raise wire.BadAnswer(f"the backfill is {job['status']}: {job['error']}")
    return time.perf_counter() - began, peak


def _get(service: Process, path: str) -> bytes:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=60)
    connection.request("GET", path)
    found = connection.getresponse().read()
    connection.close()
    return found


def _call(service: Process, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection(HOST, service.port, timeout=60)
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.load(response)
    connection.close()
    if response.status >= 300:
        raise wire.BadAnswer(f"{method} {path}: {response.status}: {answer}")
    return answer
