"""/api/dead-letters: batches that ClickHouse refused, to be looked at, sent again or dropped."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from clickhouse.errors import Refused
from service.dead_letters.rows import DeadLetter, DeadLetterPage, Dropped, Retried
from service.paging import PageOf, envelope
from service.parameters import Page, PageSize
from service.problems import MEDIA_TYPE, Conflict, first_line
from service.requests import no_repeats
from service.state import state_of
from workers.dead_letters import NoSuchLetter

router = APIRouter(prefix="/api/dead-letters", tags=["operations"])

_REFUSED: dict[int | str, dict[str, Any]] = {
    409: {
        "description": "ClickHouse refused it again, or its file is damaged; the letter stays",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
}


class Listing(BaseModel):
    """Which page of the dead letters."""

    model_config = ConfigDict(extra="forbid")

    page: Page = 1
    page_size: PageSize | None = None


@router.get("", dependencies=[Depends(no_repeats)], response_model=DeadLetterPage)
async def get_dead_letters(request: Request, asked: Annotated[Listing, Query()]) -> dict[str, Any]:
    """Batches that ClickHouse refused for their data, oldest first; unreadable files are among them."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    found = await asyncio.to_thread(state.dead_letters.summaries)
    shown = [DeadLetter.of(summary).model_dump() for summary in found[page.offset : page.offset + page.size]]
    return envelope(request, asked.model_dump(exclude_unset=True, exclude={"page"}), page, len(found), shown)


@router.post("/{id}/retry", responses=_REFUSED)
async def retry_dead_letter(request: Request, id: str) -> Retried:
    """Send a batch again, the same block with the same token; when ClickHouse has it, the letter is dropped."""
    state = state_of(request)
    letter = await asyncio.to_thread(state.dead_letters.read, id)
    try:
        await state.retries.retry(letter)
    except Refused as error:
        raise Conflict(f"ClickHouse refused it again: {first_line(error)}") from error
    with suppress(NoSuchLetter):  # another retry of it was faster
        await asyncio.to_thread(state.dead_letters.drop, id)
    return Retried(id=id, rows=letter.rows)


@router.delete("/{id}")
async def drop_dead_letter(request: Request, id: str) -> Dropped:
    """Give a batch up: its events will never be counted."""
    await asyncio.to_thread(state_of(request).dead_letters.drop, id)
    return Dropped(id=id)
