"""One event at a time to a service at rest: from its 202 until it shows in an answer."""

from __future__ import annotations

import random
import time

from bench import wire
from bench.apart import apart
from bench.service import Process
from bench.visible import Reader
from bench.workload import Workload

# Seconds between two questions, beside the 5 ms that one takes.
_PAUSE = 0.002


def latencies(service: Process, workload: Workload, events: int) -> list[float]:
    """Milliseconds for each of so many events, one every second or so."""
    return apart(_latencies, service.port, workload, events)


def _latencies(port: int, workload: Workload, events: int) -> list[float]:
    reader, chance = Reader(port, workload.site), random.Random(0)
    visible, found = reader.views(), []
    for event in workload.bodies()[0].splitlines()[:events]:
        # Not in step with anything that happens every so often.
        time.sleep(chance.uniform(0.8, 1.2))
        wire.send(port, iter([wire.post("/api/events", event, "application/json")]), 1)
        answered = time.perf_counter()
        visible += 1
        reader.wait(visible, _PAUSE)
        found.append((time.perf_counter() - answered) * 1000)
    return found
