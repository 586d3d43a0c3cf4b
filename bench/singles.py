"""One event a request, many connections: the page views of a site without a collector in front."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle

from bench import wire
from bench.apart import apart
from bench.service import Process
from bench.visible import Reader
from bench.workload import Workload

CONNECTIONS = 64
WARM_UP_SECONDS = 0.5

# Seconds between two questions.
_PAUSE = 0.05


@dataclass(frozen=True)
class Answered:
    """Requests/s, their latency in ms and what the load generator needed for each, in µs of CPU; `requests` are all,
    those of the warm-up as well. `ended`: when the last was answered, by the clock that all processes share."""

    rate: float
    p50: float
    p99: float
    generator_us: float
    requests: int
    ended: float


def post_singles(server: Process, workload: Workload, seconds: float) -> Answered:
    """The events of the workload's first block, one by one over CONNECTIONS connections, as long as `seconds`."""
    warm_up, sent, ended = apart(_post, server.port, workload, seconds)
    measured = len(sent.latencies)
    return Answered(
        sent.rate,
        *percentiles(sent.latencies),
        generator_us=sent.cpu_seconds * 1e6 / measured,
        requests=len(warm_up.latencies) + measured,
        ended=ended,
    )


def _post(port: int, workload: Workload, seconds: float) -> tuple[wire.Sent, wire.Sent, float]:
    requests = [wire.post("/api/events", event, "application/json") for event in workload.bodies()[0].splitlines()]
    warm_up = wire.send(port, wire.until(WARM_UP_SECONDS, cycle(requests)), CONNECTIONS)
    sent = wire.send(port, wire.until(seconds, cycle(requests)), CONNECTIONS)
    return warm_up, sent, time.perf_counter()


def wait_until_visible(service: Process, workload: Workload, events: int) -> float:
    """When the service shows so many, by the clock of `Answered.ended`."""
    Reader(service.port, workload.site).wait(events, _PAUSE)
    return time.perf_counter()


def percentiles(latencies: list[float]) -> tuple[float, float]:
    """p50 and p99: the value that half, or 99 of 100, stay at or below."""
    ordered = sorted(latencies)
    return ordered[(len(ordered) - 1) // 2], ordered[(len(ordered) - 1) * 99 // 100]
