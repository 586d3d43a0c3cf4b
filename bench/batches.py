"""NDJSON batches over HTTP: from the first byte sent until every event shows in an answer."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from bench import wire
from bench.apart import apart
from bench.service import HOST, Process
from bench.workload import Workload

CONNECTIONS = 4
_VISIBLE_SECONDS = 30


@dataclass(frozen=True)
class Ingested:
    """CPU in µs an event: `loop` is the service's main thread, `rest` its others (embedded: ClickHouse)."""

    rate: float
    loop_us: float
    rest_us: float
    generator_us: float


def ingest(service: Process, workload: Workload) -> Ingested:
    """Posts the workload once over CONNECTIONS connections; `rate` is events/s until all are visible."""
    before = service.cpu()
    seconds, generator = apart(_ingest, service.port, workload)
    used = service.cpu() - before
    micro = 1e6 / workload.events
    return Ingested(workload.events / seconds, used.main * micro, (used.total - used.main) * micro, generator * micro)


def _ingest(port: int, workload: Workload) -> tuple[float, float]:
    requests = [wire.post("/api/events", body, "application/x-ndjson") for body in workload.bodies()]
    wanted = _visible(port, workload.site) + workload.events
    began = time.perf_counter()
    sent = wire.send(port, iter(requests), CONNECTIONS)
    while (seen := _visible(port, workload.site)) != wanted:
        if seen > wanted or time.perf_counter() - began > sent.seconds + _VISIBLE_SECONDS:
            raise wire.BadAnswer(f"{workload.name}: {seen} events are visible, {wanted} were sent")
        time.sleep(0.005)
    return time.perf_counter() - began, sent.cpu_seconds


def _visible(port: int, site: str) -> int:
    """Views of the site, all years together."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", f"/api/analytics/performance?{urlencode({'site': site, 'compare': 'year'})}")
    answer = json.load(connection.getresponse())
    connection.close()
    return sum(row["y"] for row in answer["results"])
