"""POST /api/v1/write."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clickhouse.instants import epoch_ms
from clickhouse.samples import Sample
from service.clock import now
from service.ingest.answers import site_asked
from service.ingest.rejections import Rejection
from service.problems import NotRemoteWrite, TooLarge, UnsupportedMedia
from service.remote_write.codec import BodyTooLarge, BrokenBody, Written, decode
from service.remote_write.rows import read
from service.samples.parse import Parser
from service.state import State, state_of

# Samples looked at before other requests get their turn: 250 of as many series take about 5 ms.
_SLICE = 250

# Reasons named in a refusal, which Prometheus writes into its log.
_MAX_REASONS = 5


async def post_write(request: Request) -> Response:
    """204 when every sample that can be taken is on disk.

    Samples are taken one by one, and those that cannot be are counted in /metrics: Prometheus sends NaN all day (the
    quantiles of a summary nobody observed), and to answer 400 for that would have it log an error each time and count
    as failed what was taken. 400 is for what says nothing but that, and for what no sender should send again.

    Raises:
        NotRemoteWrite: the body is broken, or of its samples none can be taken.
        TooLarge, UnsupportedMedia: the latter also to remote write 2.0, which then sends 1.0.
        NotTaken: the spool is full, or its disk; Prometheus tries again.
    """
    state, site = state_of(request), site_asked(request)
    _expect_remote_write_1(request)
    limit = state.settings.max_decompressed_bytes
    body = await request.body()
    # One at a time: of 64 MiB the parser keeps all other threads from Python for 0.1 s and longer.
    async with state.messages:
        written = await _written(body, limit)
    samples, rejected = await _read(state, written, Parser(epoch_ms(now()), site, state.arrivals, limit))
    if samples:
        await state.samples.append(samples, frozenset(), wait=False)
    elif rejected:
        raise _nothing_acceptable(rejected)
    return Response(status_code=204)


def _expect_remote_write_1(request: Request) -> None:
    kind, *parameters = request.headers.get("content-type", "").split(";")
    given = {name.strip().lower(): value.strip(' "') for name, _, value in (one.partition("=") for one in parameters)}
    proto = given.get("proto", "prometheus.WriteRequest")
    if kind.strip().lower() != "application/x-protobuf" or proto != "prometheus.WriteRequest":
        raise UnsupportedMedia("Content-Type must be application/x-protobuf, of remote write 1.0")
    if request.headers.get("content-encoding", "").strip().lower() != "snappy":
        raise UnsupportedMedia("Content-Encoding must be snappy")


async def _written(body: bytes, limit: int) -> Written:
    try:
        # In a thread whatever was sent: a few kB can be 64 MiB.
        return await asyncio.to_thread(decode, body, limit)
    except BodyTooLarge as error:
        raise TooLarge(str(error)) from error
    except BrokenBody as error:
        raise NotRemoteWrite(str(error)) from error


async def _read(state: State, written: Written, parser: Parser) -> tuple[list[Sample], list[Rejection]]:
    samples: list[Sample] = []
    rejected: list[Rejection] = []
    stale = 0
    for part in read(written.series, parser, _SLICE):
        samples += part.samples
        rejected += part.rejected
        stale += part.stale
        await asyncio.sleep(0)
    state.metrics.count_rejected_samples(rejection.field for rejection in rejected)
    state.metrics.count_passed_over(
        stale=stale, exemplar=written.exemplars, histogram=written.histograms, metadata=written.metadata
    )
    return samples, rejected


def _nothing_acceptable(rejected: list[Rejection]) -> NotRemoteWrite:
    reasons = Counter(f"{one.field} {one.reason}" for one in rejected).most_common(_MAX_REASONS)
    told = "; ".join(f"{reason} ({samples})" for reason, samples in reasons)
    return NotRemoteWrite(f"none of {len(rejected)} samples was acceptable: {told}")


route = Route("/api/v1/write", post_write, methods=["POST"])
