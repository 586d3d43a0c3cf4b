"""One file to the service: begun or continued, sent some batches at once, told of as far as it is stored."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.cli.client import RefusedByService, call, detail_of, persist, store
from service.imports.batches import Batch, batches
from service.imports.cells import UnusableFile
from service.imports.events import Fingerprint, Reading, read_events
from service.imports.tally import Tally
from service.problems import first_line

# Requests on their way. Half of them are parsed while the other half is inserted; what live events wait behind is one
# such half. Each waits until it is stored: without, imports ran ahead into the spool, and a live event was 16 s late.
IN_FLIGHT = 8

# Seconds between two times the service is told how far it is.
_TELLING = 1.0

SHOWN = 5


@dataclass
class Imported:
    """One file, and what became of its lines; all of them, also of those that a former run sent."""

    path: Path
    entry: dict[str, Any]
    tally: Tally = field(default_factory=Tally)
    first_rejected: list[str] = field(default_factory=list)
    known: bool = False
    """It had been imported before; nothing was sent."""


OnProgress = Callable[[int, int], None]
"""Hears the bytes of the file and the events so far."""


async def send_file(
    client: httpx.AsyncClient,
    path: Path,
    reading: Reading,
    print_: Fingerprint,
    progress: OnProgress,
    begun: Callable[[dict[str, Any]], None],
) -> Imported:
    """Returns when all of its events are stored. `begun` hears the import's entry before anything is sent.

    Raises:
        UnusableFile, OSError: the file cannot be read to its end; what could is stored.
        NoService, RefusedByService: the same call continues.
    """
    await asyncio.to_thread(_look, path, reading)
    entry = await call(client, "POST", "/api/imports", json=_body(path, reading, print_))
    imported = Imported(path, entry)
    if entry["status"] == "done":
        imported.known = True
        return imported
    begun(entry)
    sending = _Sending(client, entry, imported.first_rejected, progress)
    read = batches(read_events(path, reading), imported.tally, entry["position"])
    try:
        while (batch := await asyncio.to_thread(next, read, None)) is not None:
            await sending.add(batch)
        await sending.end()
    except (UnusableFile, OSError) as error:
        await sending.end()
        await sending.tell(status="failed", error=first_line(error)[:1_000])
        raise UnusableFile(f"{path.name}: {first_line(error)}; what stands before that is imported") from error
    finally:
        await sending.cancel()
    imported.entry = await sending.tell(**_held(imported.tally), status="done")
    return imported


def _look(path: Path, reading: Reading) -> None:
    """The first line: what is wrong with a file as a whole shows before anything is begun."""
    try:
        next(read_events(path, reading), None)
    except UnusableFile as error:
        raise UnusableFile(f"{path.name}: {error}") from None


def _body(path: Path, reading: Reading, print_: Fingerprint) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if reading.match is not None:
        options["match"] = reading.match.pattern
    if reading.columns:
        options["columns"] = dict(reading.columns)
    if reading.delimiter is not None:
        options["delimiter"] = reading.delimiter
    return {
        "site": reading.site,
        "file_name": path.name,
        "format": reading.format,
        "size": print_.size,
        "digest": print_.digest,
        "options": options,
    }


def _held(tally: Tally) -> dict[str, Any]:
    return {"lines": tally.lines, "events": tally.events, "skipped": dict(tally.skipped)}


class _Sending:
    """Batches on their way. What is told is the state behind the first of them, all before being stored."""

    def __init__(
        self, client: httpx.AsyncClient, entry: dict[str, Any], first_rejected: list[str], progress: OnProgress
    ) -> None:
        self._client = client
        self._id, self._run = entry["id"], entry["run"]
        self._first_rejected = first_rejected
        self._progress = progress
        self._counts = Counter({name: entry[name] for name in ("accepted", "duplicates", "rejected")})
        self._behind: dict[str, Any] = {}
        self._told_at = time.monotonic()
        self._going: deque[tuple[Batch, asyncio.Task[dict[str, Any]]]] = deque()

    async def add(self, batch: Batch) -> None:
        """Returns when there is room for another."""
        self._going.append((batch, asyncio.create_task(self._post(batch))))
        while len(self._going) >= IN_FLIGHT:
            await self._settle()

    async def end(self) -> None:
        """Returns when all are stored."""
        while self._going:
            await self._settle()
        await self.tell()

    async def cancel(self) -> None:
        """What is on its way may be stored all the same, and is sent again by whoever continues."""
        for _, task in self._going:
            task.cancel()
        await asyncio.gather(*(task for _, task in self._going), return_exceptions=True)

    async def tell(self, **more: Any) -> dict[str, Any]:
        """Raises NoService, RefusedByService."""
        self._told_at = time.monotonic()
        told = {"run": self._run, **self._behind, **more}
        answer = await persist(self._client, "PATCH", f"/api/imports/{self._id}", json=told)
        if not answer.is_success:
            raise RefusedByService(detail_of(answer))
        entry: dict[str, Any] = answer.json()
        return entry

    async def _settle(self) -> None:
        """Waits for the first."""
        batch, task = self._going[0]
        answer = await task
        self._going.popleft()
        for name in self._counts:
            self._counts[name] += len(answer[name]) if name == "rejected" else answer[name]
        for rejection in answer["rejected"][: SHOWN - len(self._first_rejected)]:
            line = batch.numbers[rejection["index"]]
            self._first_rejected.append(f"line {line}: {rejection['field']} {rejection['reason']}")
        self._behind = {"position": batch.held.lines, "offset": batch.offset, **_held(batch.held), **self._counts}
        self._progress(batch.offset, batch.held.events)
        if time.monotonic() - self._told_at > _TELLING:
            await self.tell()

    async def _post(self, batch: Batch) -> dict[str, Any]:
        """What became of its events, when they are stored."""
        nothing: dict[str, Any] = {"accepted": 0, "duplicates": 0, "rejected": []}
        if not batch.events:
            return nothing
        headers = {"Content-Type": "application/x-ndjson", "Readership-Import": str(self._id)}
        return await store(self._client, "/api/events", content=batch.ndjson, headers=headers)
