"""GET /api/doctor: everything an operator would look at, judged.

Not a part of /readyz, which load balancers ask every second: a dead letter or a spool filling up wants a person, and
must not take a service out of rotation that takes events and answers questions.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.doctor import checks
from service.doctor.checks import Check, Status
from service.doctor.versions import Versions, versions
from service.operations import faults
from service.problems import first_line
from service.state import State, state_of

router = APIRouter(tags=["operations"])


class Report(BaseModel):
    """`status` is the worst of the checks'."""

    status: Status
    checks: list[Check]
    versions: Versions


@router.get("/api/doctor")
async def doctor(request: Request) -> Report:
    """What is wrong with the service and what to do about it: 200 also when something fails."""
    state = state_of(request)
    found, running = await asyncio.gather(faults(state), versions(state.engine, state.redis))
    done = [*checks.parts(found), *await _disk(state)]
    of_events, of_samples = state.flushes
    done += [checks.flush(of_events), checks.flush(of_samples, "sample flush")]
    return Report(status=checks.worst(done), checks=done, versions=running)


async def _disk(state: State) -> list[Check]:
    """What takes a look at the disk; a disk that does not answer is one failed check."""
    try:
        letters = await asyncio.to_thread(state.dead_letters.summaries)
        of_events, of_samples = state.spools
        return [
            *checks.spool(of_events),
            *checks.spool(of_samples, "sample spool", "sample"),
            checks.disk(of_events),
            checks.dead_letters(letters),
        ]
    except OSError as error:
        return [
            Check(
                name="disk",
                status=Status.FAIL,
                detail=f"READERSHIP_DATA_DIR cannot be read: {first_line(error)}",
                remedy="look at the disk and the folder's owner",
            )
        ]
