"""Imports of files: begun once, continued by whoever reads the file next, told how far that one is.

ImportFault
├── NoSuchImport
├── TakenOver     another process reads the file now
└── NotRunning    it is done, or was undone
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.asyncio import Redis

from clickhouse.deletion import Deletion, Of
from clickhouse.engine import Engine
from clickhouse.imports import Import, Status, find_import, imports_of, last_id, sites_of, stored_rows, write_import
from clickhouse.instants import epoch_ms
from workers.jobs.deleting import request
from workers.jobs.job import ENDED
from workers.jobs.job import Status as JobStatus
from workers.jobs.ledger import Ledger
from workers.lease import lease

# Seconds for another to write its row, which takes 20 ms, and for the lease of a killed one to end.
_WAIT = 15


class ImportFault(Exception):
    """Base of what imports raise themselves."""


class NoSuchImport(ImportFault):
    """No import has this id."""


class TakenOver(ImportFault):
    """Who asks is not the last that began."""


class NotRunning(ImportFault):
    """It takes no more events."""


@dataclass(frozen=True)
class File:
    """What decides whether two imports are of the same."""

    site: str
    name: str
    format: str
    size: int
    digest: str
    options: Mapping[str, Any]


class Imports:
    """Every method raises ClickHouseError; those that write raise LeaseError where Redis is away."""

    def __init__(self, engine: Engine, redis: Redis, database: str, now: Callable[[], datetime], jobs: Ledger) -> None:
        self._engine = engine
        self._redis = redis
        self._jobs = jobs
        self._lease = f"readership:imports:{database}"
        self._now = now

    async def begin(self, file: File) -> Import:
        """The import of this file, the caller being the one that reads it from now on; as it is where it is done.

        One that was undone does not count: the file is imported anew. Raises NotRunning while it is being undone.
        """
        options = json.dumps(file.options, sort_keys=True, separators=(",", ":"))
        now = epoch_ms(self._now())
        async with self._alone():
            same = await imports_of(self._engine, file.site, file.digest, file.format, options)
            known = [await self.settled(one) for one in same]
            last = next((one for one in known if one.status != Status.UNDONE), None)
            if last is None:
                new = Import(
                    id=await last_id(self._engine) + 1,
                    run=1,
                    site=file.site,
                    file_name=file.name,
                    format=file.format,
                    size=file.size,
                    digest=file.digest,
                    options=options,
                    begun_at=now,
                    updated_at=now,
                )
                await write_import(self._engine, new)
                return new
            if last.status == Status.UNDOING:
                raise NotRunning(f"import {last.id} of this file is being undone; try again when that is done")
            if last.status == Status.DONE:
                return last
            continued = last._replace(run=last.run + 1, status=Status.RUNNING, error="", updated_at=now)
            await write_import(self._engine, continued)
            return continued

    async def find(self, id_: int) -> Import:
        """Raises NoSuchImport."""
        found = await find_import(self._engine, id_)
        if found is None:
            raise NoSuchImport(f"there is no import {id_}")
        return await self.settled(found)

    async def undo(self, id_: int) -> Import:
        """Its events go, by a job for each site that has some; what of it waits is dropped, and no more is taken.

        The jobs of one that is being undone go on; what has failed, or was left over, is begun again.
        Raises NoSuchImport.
        """
        async with self._alone():
            known = await self.find(id_)
            if known.status == Status.UNDOING and known.jobs and not known.error:
                return known
            marked = known._replace(status=Status.UNDOING, jobs="", error="", updated_at=epoch_ms(self._now()))
            await write_import(self._engine, marked)
            sites = await sites_of(self._engine, id_) | {known.site}
            asked_at = epoch_ms(self._now())
            jobs = [
                await request(self._jobs, self._engine, Deletion(site, Of.IMPORT, str(id_), asked_at))
                for site in sorted(sites)
            ]
            begun = marked._replace(jobs=",".join(job.id for job in jobs))
            await write_import(self._engine, begun)
            return begun

    async def settled(self, one: Import) -> Import:
        """As it is when the jobs that undo it are looked at."""
        if one.status != Status.UNDOING:
            return one
        jobs = [await self._jobs.find(id_) for id_ in one.jobs.split(",") if id_]
        for job in jobs:
            if job.status in ENDED - {JobStatus.DONE}:
                return one._replace(error=f"{job.id} is {job.status}: {job.error}; undo it again")
        if not jobs or any(job.status is not JobStatus.DONE for job in jobs):
            return one
        undone = one._replace(status=Status.UNDONE, updated_at=epoch_ms(self._now()))
        await write_import(self._engine, undone)
        return undone

    async def tell(self, id_: int, run: int, told: Mapping[str, Any]) -> Import:
        """`told` are fields of Import. When it is done its events are counted in raw: who was killed does not know
        which of those it sent twice were its own.

        Raises:
            NoSuchImport, TakenOver, NotRunning: nothing was changed.
        """
        async with self._alone():
            known = await self.find(id_)
            if known.status != Status.RUNNING:
                raise NotRunning(f"import {id_} is {known.status}")
            if known.run != run:
                raise TakenOver(f"import {id_} is continued by another process")
            one = known._replace(**told, updated_at=epoch_ms(self._now()))
            if one.status == Status.DONE:
                accepted = await stored_rows(self._engine, id_)
                one = one._replace(accepted=accepted, duplicates=max(0, one.events - one.rejected - accepted))
            await write_import(self._engine, one)
            return one

    async def running(self, id_: int) -> None:
        """Raises NoSuchImport, or NotRunning: events of it are not to be taken."""
        known = await self.find(id_)
        if known.status != Status.RUNNING:
            raise NotRunning(f"import {id_} is {known.status}")

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Nobody else writes to the ledger of imports. Raises LeaseError."""
        async with lease(self._redis, self._lease, _WAIT):
            yield
