"""What operators ask: alive, ready, and what the rollups hold."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError

from clickhouse.errors import ClickHouseError
from clickhouse.holdings import Holding, behind, holdings
from clickhouse.instants import from_epoch_ms, rfc3339
from clickhouse.rollups import DATASETS, dataset_called
from clickhouse.statement import Statement
from service.problems import MEDIA_TYPE, FieldError, first_line, unavailable
from service.requests import no_repeats
from service.state import State, state_of

router = APIRouter(tags=["operations"])

# Seconds for ClickHouse's answer, which takes milliseconds; one that hangs must not hold those who ask.
_PATIENCE = 5


_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "Not ready: `errors` names what does not answer",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
}


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=dict[str, str], responses=_NOT_READY)
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


class RollupsIn(BaseModel):
    """Which tables are shown."""

    model_config = ConfigDict(extra="forbid")

    dataset: Literal["views", "samples"] | None = Field(None, description="default: both")


@router.get("/api/rollups", dependencies=[Depends(no_repeats)])
async def rollups(request: Request, asked: Annotated[RollupsIn, Query()]) -> Response:
    """Per dataset and table: grain, rows, bytes, compression, first and last bucket, last write and rebuild, and lag.

    `compression`: bytes of columns by those they take on disk. `lag_seconds`: how long the oldest row has been waiting
    in the spool of the process that answers, for all tables of its dataset get it at once; or, where that is more, how
    long before raw's last row a rollup's last bucket ends. 0 is all there is. At the last reconcile: drift (rows of raw
    missing or too many), and `distinct_drift`: distinct counts that are wrong, of samples rows with another sum or
    extreme; of raw, `duplicates`: events there twice, samples that a later one corrects.
    """
    state = state_of(request)
    datasets = DATASETS if asked.dataset is None else (dataset_called(asked.dataset),)
    found = await holdings(state.engine, datasets)
    raw = {one.dataset.name: one for one in found if one.grain is None}
    waiting = {dataset.name: spool.oldest_age_seconds for dataset, spool in zip(DATASETS, state.spools, strict=True)}
    body = {"results": [_shown(one, raw[one.dataset.name], waiting[one.dataset.name]) for one in found]}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _shown(holding: Holding, raw: Holding, waiting: float) -> dict[str, Any]:
    stood = holding.standing
    return {
        "dataset": holding.dataset.name,
        "table": holding.table,
        "grain": holding.grain.name if holding.grain else "raw",
        "rows": holding.rows,
        "bytes": holding.bytes,
        "compression": None if holding.compression is None else round(holding.compression, 2),
        "first_bucket": _instant(holding.first),
        "last_bucket": _instant(holding.last),
        "last_write": _instant(holding.written),
        "last_rebuild": _instant(holding.rebuilt),
        "lag_seconds": round(max(waiting, behind(holding, raw) / 1000), 3),
        "last_reconcile": _instant(stood.reconciled_at if stood else None),
        "drift": stood.wrong_views if stood else None,
        "drift_buckets": stood.wrong_buckets if stood else None,
        "distinct_drift": stood.wrong_distinct if stood else None,
        "duplicates": stood.duplicates if stood and holding.grain is None else None,
    }


def _instant(epoch_ms: int | None) -> str | None:
    return None if epoch_ms is None else rfc3339(from_epoch_ms(epoch_ms))
