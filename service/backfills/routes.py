"""/api/backfills: rollups made again from raw."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from clickhouse.attribution import to_move
from clickhouse.errors import RawExpired
from clickhouse.fill import held
from clickhouse.holdings import rows_by_partition
from clickhouse.retention import watermark
from clickhouse.rollups import VIEWS
from service.backfills.parameters import BackfillIn, nothing_to_do
from service.backfills.rows import DryRun
from service.clock import now
from service.jobs.routes import ENDED, Listing, cancelled_job, detail_of_job, page_of_jobs
from service.jobs.rows import Begun, JobDetail, JobPage
from service.problems import Invalid
from service.requests import json_only, no_repeats
from service.state import state_of
from workers.backfill import refuse_expired, targets, units
from workers.jobs.job import Kind

router = APIRouter(prefix="/api/backfills", tags=["jobs"], dependencies=[Depends(no_repeats), Depends(json_only)])


@router.post(
    "",
    status_code=202,
    response_model=Begun,
    responses={200: {"model": DryRun, "description": "What would be done"}},
)
async def post_backfill(request: Request, sent: BackfillIn) -> Any:
    """Make rollups again from raw; a request for what is being done joins it. Readers see no gap meanwhile."""
    state = state_of(request)
    asked = sent.resolve(now())
    events = await held(state.engine, asked.dataset)
    expired = await watermark(state.engine, asked.dataset)
    found = targets(asked, await rows_by_partition(state.engine), events, expired)
    if not found:
        raise nothing_to_do(asked, events)
    if asked.clear:
        try:
            await refuse_expired(state.engine, found)
        except RawExpired as error:
            raise Invalid.field("clear", str(error)) from error
    if sent.dry_run:
        span = asked.span or events
        moves = await to_move(state.engine, [span]) if span and asked.dataset is VIEWS else {}
        return JSONResponse(DryRun.of(found, sum(moves.values())).model_dump())
    job = await state.jobs.create(Kind.BACKFILL, sent.named(asked), units(asked, found, events))
    return Begun(id=job.id, status_url=f"/api/backfills/{job.id}")


@router.get("", response_model=JobPage)
async def get_backfills(request: Request, asked: Annotated[Listing, Query()]) -> dict[str, Any]:
    """Backfills, newest first."""
    return await page_of_jobs(request, asked, Kind.BACKFILL)


@router.get("/{id}")
async def get_backfill(request: Request, id: str) -> JobDetail:
    """Status, progress per granularity, rate and ETA of one backfill."""
    return await detail_of_job(request, id, Kind.BACKFILL)


@router.delete("/{id}", responses=ENDED)
async def cancel_backfill(request: Request, id: str) -> JobDetail:
    """Begin nothing more of a backfill, and end what runs of it within seconds; what was made stays, and is right."""
    return await cancelled_job(request, id, Kind.BACKFILL)
