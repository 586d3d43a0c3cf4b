"""/api/reconciliations: rollups held against raw."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from clickhouse.reconciliations import latest
from service.clock import now
from service.jobs.routes import Listing
from service.jobs.rows import Begun
from service.jobs.spans import asked_span
from service.paging import PageOf, envelope
from service.reconciliations.rows import ReconciliationPage, ReconciliationRow
from service.requests import json_only, no_repeats
from service.state import state_of
from workers.jobs.job import Kind
from workers.jobs.reconciling import parameters, units

router = APIRouter(prefix="/api/reconciliations", tags=["jobs"], dependencies=[Depends(no_repeats), Depends(json_only)])


class ReconcileIn(BaseModel):
    """Which buckets are compared: all that the range touches, in every rollup."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"start": "2025-01-15", "end": "2025-01-31", "repair": True}}
    )

    start: str | None = Field(
        None, description="a date is its whole day, UTC; a timestamp with offset is exact; default: the first event"
    )
    end: str | None = Field(None, description="a date is included, a timestamp is not; default: now")
    repair: bool = Field(
        False,
        description="rebuild the partitions that differ, and compare them again; of samples"
        " sent again with another value, only the last stays",
    )


@router.post("", status_code=202)
async def post_reconciliation(request: Request, sent: ReconcileIn) -> Begun:
    """Hold rollups of views and of samples against raw, and look for what raw holds twice.

    A request for what is being done joins it. Events come in and questions are answered meanwhile.
    """
    state = state_of(request)
    span = asked_span(sent.start, sent.end, now())
    planned = await units(state.engine, span, repair=sent.repair)
    job = await state.jobs.create(Kind.RECONCILE, parameters(span, repair=sent.repair), planned)
    return Begun(id=job.id, status_url=f"/api/jobs/{job.id}")


@router.get("", response_model=ReconciliationPage)
async def get_reconciliations(request: Request, asked: Annotated[Listing, Query()]) -> dict[str, Any]:
    """How each partition stood when it was last compared: raw by months, then rollups from fine to coarse."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    count, found = await latest(state.engine, page.size, page.offset)
    shown = [ReconciliationRow.of(one).model_dump() for one in found]
    return envelope(request, asked.model_dump(exclude_unset=True, exclude={"page"}), page, count, shown)
