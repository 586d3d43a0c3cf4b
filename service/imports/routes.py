"""/api/imports: the ledger of imported files. Their events come by POST /api/events with `Readership-Import: <id>`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from clickhouse.imports import list_imports
from service.imports.entries import LARGEST_ID, ImportEntry, ImportIn, ImportPage, ImportTold, Listing
from service.paging import PageOf, envelope
from service.problems import MEDIA_TYPE
from service.requests import json_only, no_repeats
from service.state import state_of

router = APIRouter(prefix="/api/imports", tags=["imports"], dependencies=[Depends(no_repeats), Depends(json_only)])

ImportId = Annotated[int, Path(ge=1, le=LARGEST_ID)]

_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {
        "description": "It does not run: it is done, or undone, or another process continues it",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
}


@router.post("", responses=_CONFLICT)
async def begin_import(request: Request, sent: ImportIn) -> ImportEntry:
    """Begin the import of a file, or continue it: the same file, read in the same way, is the same import, until it
    is undone. `run` in the answer is what to tell of it with; who began it before may tell nothing more."""
    return ImportEntry.of(await state_of(request).imports.begin(sent.file()))


@router.patch("/{id}", responses=_CONFLICT)
async def tell_import(request: Request, id: ImportId, sent: ImportTold) -> ImportEntry:
    """Tell how far it is. With `status` done its events are counted in the raw table, which `accepted` then says."""
    return ImportEntry.of(await state_of(request).imports.tell(id, sent.run, sent.told()))


@router.get("", response_model=ImportPage)
async def get_imports(request: Request, asked: Annotated[Listing, Query()]) -> dict[str, Any]:
    """Imported files, newest first."""
    state = state_of(request)
    page = PageOf.asked(asked.page, asked.page_size, state.settings)
    count, found = await list_imports(state.engine, asked.site, page.size, page.offset)
    shown = [ImportEntry.of(await state.imports.settled(one)).model_dump() for one in found]
    return envelope(request, asked.model_dump(exclude_unset=True, exclude={"page"}), page, count, shown)


@router.get("/{id}")
async def get_import(request: Request, id: ImportId) -> ImportEntry:
    """One imported file."""
    return ImportEntry.of(await state_of(request).imports.find(id))


@router.delete("/{id}", status_code=202)
async def undo_import(request: Request, id: ImportId) -> ImportEntry:
    """Undo an import: its events go from raw and from every rollup; when its `jobs` are done the status is `undone`,
    and the same file may be imported again.

    What another import holds as well stays away too if this one brought it first.
    """
    state = state_of(request)
    undone = await state.imports.undo(id)
    await state.versions.bump({undone.site})
    return ImportEntry.of(undone)
