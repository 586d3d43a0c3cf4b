"""NDJSON batches over HTTP: from the first byte sent until every event shows in an answer."""

from __future__ import annotations

import time

from bench import wire
from bench.apart import apart
from bench.service import Process
from bench.visible import Reader
from bench.workload import Workload

CONNECTIONS = 4

# Seconds between two questions; shorter ones would take from what they wait for.
_PAUSE = 0.05


def ingest(service: Process, workload: Workload) -> float:
    """Posts the workload once over CONNECTIONS connections; events/s until all are visible."""
    return workload.events / apart(_ingest, service.port, workload)


def _ingest(port: int, workload: Workload) -> float:
    requests = [wire.post("/api/events", body, "application/x-ndjson") for body in workload.bodies()]
    reader = Reader(port, workload.site)
    wanted = reader.views() + workload.events
    began = time.perf_counter()
    wire.send(port, iter(requests), CONNECTIONS)
    reader.wait(wanted, _PAUSE)
    return time.perf_counter() - began
