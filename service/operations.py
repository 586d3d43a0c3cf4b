"""What operators ask: alive, ready, and what the rollups hold."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from redis.exceptions import RedisError

from clickhouse.errors import ClickHouseError
from clickhouse.holdings import Holding, holdings
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.statement import Statement
from service.problems import FieldError, first_line, unavailable
from service.state import State, state_of

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=dict[str, str])
async def readyz(request: Request) -> Any:
    """Ready: ClickHouse and Redis answer; 503 names the one that does not."""
    faults = await _faults(state_of(request))
    if faults:
        detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        return unavailable(detail, faults)
    return {"status": "ready"}


async def _faults(state: State) -> list[FieldError]:
    faults = []
    try:
        await state.engine.select(Statement("SELECT 1"))
    except ClickHouseError as error:
        faults.append(FieldError(field="clickhouse", message=first_line(error)))
    try:
        await state.redis.ping()
    except (RedisError, OSError) as error:
        faults.append(FieldError(field="redis", message=first_line(error)))
    return faults


@router.get("/api/rollups")
async def rollups(request: Request) -> Response:
    """Per table of the views dataset: grain, rows, bytes, first and last bucket, last write."""
    found = await holdings(state_of(request).engine)
    body = {"results": [_shown(holding) for holding in found]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _shown(holding: Holding) -> dict[str, Any]:
    return {
        "dataset": "views",
        "table": holding.table,
        "grain": holding.grain,
        "rows": holding.rows,
        "bytes": holding.bytes,
        "first_bucket": _instant(holding.first),
        "last_bucket": _instant(holding.last),
        "last_write": _instant(holding.written),
    }


def _instant(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(from_epoch_ms(epoch_ms))
