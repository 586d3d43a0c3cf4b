"""What the spool keeps of an event: the record of a request, as it lies in its segment."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.workload import Workload
from clickhouse.instants import epoch_ms
from service.events.parse import Defaults, parse
from service.ingest.body import Format
from service.ingest.items import split
from workers.spool.records import framed
from workers.writing import WRITING_EVENTS


def recorded_bytes(workload: Workload, *, singly: bool = False) -> float:
    """Bytes an event of the workload's first block, sent in one request, or each in one of its own."""
    body = workload.bodies()[0]
    defaults = Defaults(epoch_ms(datetime.now(UTC)), lambda _: bytes(16), "", lambda _: 2**63)
    requests = body.splitlines() if singly else [body]
    return sum(len(_record(request, defaults)) for request in requests) / workload.rows


def _record(body: bytes, defaults: Defaults) -> bytes:
    parsed = parse(split(Format.NDJSON, body), defaults)
    return framed(len(parsed.events), defaults.now, WRITING_EVENTS.pack(parsed.events, sorted(parsed.given_ids)))
