"""What operators ask: alive, ready, and what the rollups hold."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from redis.exceptions import RedisError

from clickhouse.errors import ClickHouseError
from clickhouse.holdings import Holding, holdings
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement
from service.problems import FieldError, first_line, unavailable
from service.state import State, state_of

router = APIRouter(tags=["operations"])

# Seconds for ClickHouse's answer, which takes milliseconds; one that hangs must not hold those who ask.
_PATIENCE = 5


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=dict[str, str])
async def readyz(request: Request) -> Any:
    """Ready: ClickHouse and Redis answer and the spool takes events; 503 names what does not."""
    found = await faults(state_of(request))
    if found:
        detail = "; ".join(f"{fault.field}: {fault.message}" for fault in found)
        return unavailable(detail, found)
    return {"status": "ready"}


async def faults(state: State) -> list[FieldError]:
    """What keeps the service from being ready; `field` is clickhouse, redis or spool."""
    found = []
    try:
        async with asyncio.timeout(_PATIENCE):
            await state.engine.select(Statement("SELECT 1"))
    except TimeoutError:
        found.append(FieldError(field="clickhouse", message=f"no answer within {_PATIENCE} seconds"))
    except ClickHouseError as error:
        found.append(FieldError(field="clickhouse", message=first_line(error)))
    try:
        await state.redis.ping()
    except (RedisError, OSError) as error:
        found.append(FieldError(field="redis", message=first_line(error)))
    faults_ = (spool.fault for spool in state.spools)
    found += [FieldError(field="spool", message=fault) for fault in faults_ if fault is not None]
    return found


@router.get("/api/rollups")
async def rollups(request: Request) -> Response:
    """Per table of the views dataset: grain, rows, bytes, first and last bucket, last write and rebuild.

    And at the last reconcile: drift (views missing or too many), distinct counts that are wrong, events there twice.
    """
    found = await holdings(state_of(request).engine)
    body = {"results": [_shown(holding) for holding in found]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _shown(holding: Holding) -> dict[str, Any]:
    stood = holding.standing
    return {
        "dataset": "views",
        "table": holding.table,
        "grain": holding.grain,
        "rows": holding.rows,
        "bytes": holding.bytes,
        "first_bucket": _instant(holding.first),
        "last_bucket": _instant(holding.last),
        "last_write": _instant(holding.written),
        "last_rebuild": _instant(holding.rebuilt),
        "last_reconcile": _instant(stood.reconciled_at if stood else None),
        "drift": stood.wrong_views if stood else None,
        "drift_buckets": stood.wrong_buckets if stood else None,
        "distinct_drift": stood.wrong_distinct if stood else None,
        "duplicates": stood.duplicates if stood and holding.table == EVENTS else None,
    }


def _instant(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(from_epoch_ms(epoch_ms))
