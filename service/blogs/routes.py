"""PUT and GET /api/blogs and /api/authors."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from clickhouse import blogs as registry
from clickhouse.attribution import keep_former, replaced
from clickhouse.blogs import Blog
from clickhouse.instants import from_epoch_ms, rfc3339
from service.blogs.parameters import AuthorIn, BlogIn, Listing, OneOrMany
from service.clock import now
from service.paging import PageOf, envelope, in_json
from service.requests import json_only, no_repeats
from service.state import state_of

router = APIRouter(prefix="/api", tags=["registry"], dependencies=[Depends(no_repeats), Depends(json_only)])


class Upserted(BaseModel):
    upserted: int


@router.put("/blogs")
async def put_blogs(request: Request, sent: OneOrMany[BlogIn]) -> Upserted:
    """Register or change one blog or many; of two with the same id the later counts.

    Views of a blog that changes its author stay with the former one until a backfill.
    """
    state, many = state_of(request), sent if isinstance(sent, list) else [sent]
    async with state.registry:
        kept = await registry.find_blogs(state.engine, {(blog.site, blog.blog_id) for blog in many})
        before = dict(kept)
        for blog in many:
            key = (blog.site, blog.blog_id)
            kept[key] = blog.over(kept.get(key), now())
        await keep_former(state.engine, replaced(before, kept.values()))
        await registry.upsert_blogs(state.engine, [*kept.values()])
    state.tables.labels.forget()
    await state.versions.bump({blog.site for blog in many})
    return Upserted(upserted=len(kept))


@router.put("/authors")
async def put_authors(request: Request, sent: OneOrMany[AuthorIn]) -> Upserted:
    """Register or change one author or many; of two with the same id the later counts."""
    state, many = state_of(request), sent if isinstance(sent, list) else [sent]
    async with state.registry:
        kept = await registry.find_authors(state.engine, {(author.site, author.author_id) for author in many})
        for author in many:
            key = (author.site, author.author_id)
            kept[key] = author.over(kept.get(key))
        await registry.upsert_authors(state.engine, [*kept.values()])
    state.tables.labels.forget()
    await state.versions.bump({author.site for author in many})
    return Upserted(upserted=len(kept))


@router.get("/blogs")
async def get_blogs(request: Request, asked: Annotated[Listing, Query()]) -> Response:
    """A site's blogs by id, paged."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    count, found = await registry.list_blogs(state.engine, asked.site, page.size, page.offset)
    return in_json(envelope(request, _address(asked), page, count, [_shown(blog) for blog in found]))


@router.get("/authors")
async def get_authors(request: Request, asked: Annotated[Listing, Query()]) -> Response:
    """A site's authors by id, paged."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    count, found = await registry.list_authors(state.engine, asked.site, page.size, page.offset)
    return in_json(envelope(request, _address(asked), page, count, [author._asdict() for author in found]))


def _address(asked: Listing) -> dict[str, Any]:
    return asked.model_dump(mode="json", exclude_unset=True, exclude={"page"})


def _shown(blog: Blog) -> dict[str, Any]:
    return {**blog._asdict(), "created_at": rfc3339(from_epoch_ms(blog.created_at))}
