"""One event a request, many connections: the page views of a site without a collector in front."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle

from bench import wire
from bench.apart import apart
from bench.service import Process
from bench.workload import Workload

WARM_UP_SECONDS = 0.5


@dataclass(frozen=True)
class Answered:
    """Requests/s, their latency in ms, and CPU of the server's main thread and of the rest in µs each."""

    rate: float
    p50: float
    p99: float
    loop_us: float
    rest_us: float


def post_singles(server: Process, workload: Workload, connections: int, seconds: float) -> Answered:
    """The events of the workload's first block, one by one, as long as `seconds`."""
    before = server.cpu()
    warm_up, sent = apart(_post, server.port, workload, connections, seconds)
    used, micro = server.cpu() - before, 1e6 / len(warm_up.latencies + sent.latencies)
    p50, p99 = percentiles(sent.latencies)
    return Answered(sent.rate, p50, p99, used.main * micro, (used.total - used.main) * micro)


def _post(port: int, workload: Workload, connections: int, seconds: float) -> tuple[wire.Sent, wire.Sent]:
    requests = [wire.post("/api/events", event, "application/json") for event in workload.bodies()[0].splitlines()]
    warm_up = wire.send(port, wire.until(WARM_UP_SECONDS, cycle(requests)), connections)
    return warm_up, wire.send(port, wire.until(seconds, cycle(requests)), connections)


def percentiles(latencies: list[float]) -> tuple[float, float]:
    """p50 and p99: the value that half, or 99 of 100, stay at or below."""
    ordered = sorted(latencies)
    return ordered[(len(ordered) - 1) // 2], ordered[(len(ordered) - 1) * 99 // 100]
