"""/api/jobs: long work of every kind."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from service.jobs.rows import JobDetail, JobPage, JobRow
from service.paging import PageOf, envelope
from service.parameters import Page, PageSize
from service.problems import MEDIA_TYPE
from service.requests import no_repeats
from service.state import state_of
from workers.jobs.job import Kind
from workers.jobs.ledger import NoSuchJob

router = APIRouter(prefix="/api/jobs", tags=["jobs"], dependencies=[Depends(no_repeats)])

ENDED: dict[int | str, dict[str, Any]] = {
    409: {
        "description": "It is done, failed or cancelled already",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
}


class Listing(BaseModel):
    """Which page of the jobs."""

    model_config = ConfigDict(extra="forbid")

    page: Page = 1
    page_size: PageSize | None = None


class JobListing(Listing):
    kind: Kind | None = None


@router.get("", response_model=JobPage)
async def get_jobs(request: Request, asked: Annotated[JobListing, Query()]) -> dict[str, Any]:
    """Jobs of every kind, or of one, newest first."""
    return await page_of_jobs(request, asked, asked.kind)


@router.get("/{id}")
async def get_job(request: Request, id: str) -> JobDetail:
    """Status, progress, and every unit of one job."""
    return await detail_of_job(request, id)


@router.delete("/{id}", responses=ENDED)
async def cancel_job(request: Request, id: str) -> JobDetail:
    """Begin nothing more of a job, and end what runs of it within seconds; what was done stays."""
    return await cancelled_job(request, id)


async def page_of_jobs(request: Request, asked: Listing, kind: Kind | None) -> dict[str, Any]:
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    count, jobs = await state.jobs.page(kind, page.size, page.offset)
    shown = [JobRow.of(job, state.jobs.now_ms()).model_dump() for job in jobs]
    return envelope(request, asked.model_dump(exclude_unset=True, exclude={"page"}), page, count, shown)


async def detail_of_job(request: Request, id: str, kind: Kind | None = None) -> JobDetail:
    """Raises NoSuchJob, also for one of another kind."""
    jobs = state_of(request).jobs
    job = await jobs.find(id)
    if kind is not None and job.kind is not kind:
        raise NoSuchJob(f"{id} is no {kind}")
    return JobDetail.of(job, jobs.now_ms())


async def cancelled_job(request: Request, id: str, kind: Kind | None = None) -> JobDetail:
    """Raises NoSuchJob, JobEnded."""
    await detail_of_job(request, id, kind)
    jobs = state_of(request).jobs
    return JobDetail.of(await jobs.cancel(id), jobs.now_ms())
