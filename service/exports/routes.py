"""GET /api/export: raw as a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

from clickhouse.engine import Row
from clickhouse.exports import event_portions, sample_portions
from service.clock import now
from service.exports.formats import ENDINGS, EVENTS, MEDIA_TYPES, SAMPLES, Writer, writer
from service.exports.parameters import ExportQuery, Format
from service.requests import no_repeats
from service.state import state_of

router = APIRouter(tags=["operations"], dependencies=[Depends(no_repeats)])

_FILE = {MEDIA_TYPES[one].partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for one in Format}


@router.get("/api/export", response_class=StreamingResponse, responses={200: {"content": _FILE}})
async def export(request: Request, asked: Annotated[ExportQuery, Query()]) -> StreamingResponse:
    """Samples of a metric, series after series, or views, oldest first, as a file. Views can be imported from each of
    the forms again, samples be sent again as OpenMetrics or as NDJSON.

    It is made while it is read. One that is cut off does not look whole: the connection ends without the last chunk,
    OpenMetrics lacks its `# EOF`, Parquet its footer.
    """
    engine = state_of(request).engine
    format_, range_ = asked.resolve(now())
    table, about, portions = EVENTS, tuple[str, ...](), event_portions(engine, asked.site, range_.start, range_.end)
    if asked.metric is not None:
        table, about, portions = SAMPLES, (asked.site, asked.metric), sample_portions(engine, asked.question(range_))
    to = writer(format_, table, asked.metric or "")
    # What is wrong with the question is to be heard before a 200.
    first = await anext(portions)
    name = f"{asked.metric or asked.dataset}.{ENDINGS[format_]}".replace(":", "_")
    return StreamingResponse(
        _written(to, first, portions, about),
        media_type=MEDIA_TYPES[format_],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _written(
    to: Writer, first: list[Row], portions: AsyncIterator[list[Row]], about: Sequence[str]
) -> AsyncIterator[bytes]:
    """`about`: the cells that all rows begin with."""
    yield await asyncio.to_thread(lambda: to.begin() + to.rows(_whole(first, about)))
    async for portion in portions:
        yield await asyncio.to_thread(to.rows, _whole(portion, about))
    yield await asyncio.to_thread(to.end)


def _whole(rows: list[Row], about: Sequence[str]) -> Sequence[Row]:
    return [(*about, *row) for row in rows] if about else rows
