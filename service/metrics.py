"""GET /metrics."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import choose_encoder

from clickhouse.errors import ClickHouseError
from clickhouse.reconciliations import standing
from service.state import state_of

# Seconds for ClickHouse to tell how the last reconcile ended, which takes milliseconds; a scrape does without.
_PATIENCE = 1

router = APIRouter(tags=["operations"])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What the service counts about itself, in Prometheus' text format, or OpenMetrics where `Accept` asks for it."""
    state = state_of(request)
    with suppress(TimeoutError, ClickHouseError):
        async with asyncio.timeout(_PATIENCE):
            state.metrics.show_reconciled(await standing(state.engine))
    registry = state.metrics.registry
    try:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
    except (TypeError, ValueError):  # a version that is no number
        encode, media_type = choose_encoder("")
    # On the loop, 2 ms: what the gauges ask belongs to it.
    return Response(encode(registry), media_type=media_type)
