"""DELETE /api/blogs/{blog_id}, /api/viewers/{viewer_id} and /api/sites/{site}."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from clickhouse.blogs import find_blogs
from clickhouse.deletion import Deletion, Of, any_of, unregister
from clickhouse.instants import epoch_ms
from service.clock import now
from service.events.parse import hash_viewer
from service.jobs.rows import Begun
from service.parameters import Id, Site
from service.problems import NoSuchBlog
from service.requests import no_repeats
from service.state import State, state_of
from workers.jobs import deleting

router = APIRouter(prefix="/api", tags=["deletion"], dependencies=[Depends(no_repeats)])


class OfSite(BaseModel):
    """Whose blog or viewer it is."""

    model_config = ConfigDict(extra="forbid")

    site: Site = "default"


# Ids may hold slashes: encoded or not, all that follows is the id.
@router.delete("/blogs/{blog_id:path}", status_code=202)
async def delete_blog(request: Request, blog_id: Id, asked: Annotated[OfSite, Query()]) -> Begun:
    """Delete a blog and every view of it that was received until now; 404 when there is neither.

    It leaves the registry at once. Its views are gone from events and rollups when the job is done; sent again after
    that, with the same ids or others, they count.
    """
    state = state_of(request)
    deletion = Deletion(asked.site, Of.BLOG, blog_id, epoch_ms(now()))
    async with state.registry:
        registered = bool(await find_blogs(state.engine, {(asked.site, blog_id)}))
        if registered:
            await unregister(state.engine, asked.site, blog_id)
    # While events wait, nobody knows of which blogs they are.
    if not (registered or state.spools[0].waiting_events or await any_of(state.engine, deletion)):
        raise NoSuchBlog(f"site {asked.site} has no blog {blog_id}: it is not registered, and no event of it is kept")
    return await _requested(state, deletion)


@router.delete("/viewers/{viewer_id:path}", status_code=202)
async def delete_viewer(request: Request, viewer_id: Id, asked: Annotated[OfSite, Query()]) -> Begun:
    """Delete every view of a viewer that was received until now, if there is any.

    `viewer_id` is the one that the events were sent with; of viewers that clients did not name no id is known.
    """
    key = str(hash_viewer(asked.site, viewer_id))
    return await _requested(state_of(request), Deletion(asked.site, Of.VIEWER, key, epoch_ms(now())))


@router.delete("/sites/{site:path}", status_code=202)
async def delete_site(request: Request, site: Site) -> Begun:
    """Empty a site: its views received until now, its blogs and authors.

    It may be filled again when the job is done.
    """
    state = state_of(request)
    deletion = Deletion(site, Of.SITE, "", epoch_ms(now()))
    async with state.registry:
        await unregister(state.engine, site)
    return await _requested(state, deletion)


async def _requested(state: State, deletion: Deletion) -> Begun:
    state.tables.labels.forget()
    await state.versions.bump({deletion.site})
    job = await deleting.request(state.jobs, state.engine, deletion)
    return Begun(id=job.id, status_url=f"/api/jobs/{quote(job.id)}")
