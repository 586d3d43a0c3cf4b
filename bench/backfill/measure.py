"""What is done to one engine, in order."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

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
        with told(f"{engine.name}: backfill"), Sender(service.port, "waiting") as sender:
            job, peak = _backfill(engine, service)
        figures |= _waits("during", sender)
    seconds = job["seconds"]
    figures |= {
        "backfill.seconds": seconds,
        "backfill.rate": events / seconds,
        "backfill.ratio": sum(by_grain.values()) / seconds,
        "memory.peak": peak,
    }


def _waits(part: str, sender: Sender) -> Figures:
    """In ms."""
    p50, p99 = percentiles([seconds * 1000 for seconds in sender.waits])
    return {
        f"{part}.p50": p50,
        f"{part}.p99": p99,
        f"{part}.max": max(sender.waits) * 1000,
        f"{part}.events": len(sender.waits),
    }


def _backfill(engine: Engine, service: Process) -> tuple[dict[str, Any], float]:
    """The job when it is done, and the most memory that was used (MB)."""
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
    return {**job, "seconds": time.perf_counter() - began}, peak


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
