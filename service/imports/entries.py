"""Imports as they are asked for, told of and shown."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clickhouse.imports import Import
from clickhouse.instants import from_epoch_ms, rfc3339
from service.parameters import Page, PageSize, Site, Text
from workers.imports import File

# What ClickHouse keeps a number of lines in, with room to add.
Count = Annotated[int, Field(ge=0, lt=2**53)]
Skipped = Annotated[dict[Annotated[str, Field(max_length=40)], Count], Field(max_length=100)]

LARGEST_ID = 2**32 - 1


class FileOptions(BaseModel):
    """What else decides which events a file holds."""

    model_config = ConfigDict(extra="forbid")

    match: Annotated[Text, Field(max_length=1_000)] | None = None
    columns: Annotated[dict[str, Annotated[Text, Field(max_length=1_000)]], Field(max_length=20)] = {}
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None


class ImportIn(BaseModel):
    """A file to be imported; the same file, read in the same way for the same site, is the same import."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "site": "example.org",
                "file_name": "views-2024.csv",
                "format": "csv",
                "size": 1_048_576,
                "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "options": {"columns": {"event_id": "uuid"}},
            }
        },
    )

    site: Site = "default"
    file_name: Annotated[Text, Field(min_length=1, max_length=255)]
    format: Literal["combined", "ndjson", "csv", "parquet"]
    size: Count
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file, in hex")]
    options: FileOptions = FileOptions()

    def file(self) -> File:
        options = self.options.model_dump(exclude_defaults=True)
        return File(self.site, self.file_name, self.format, self.size, self.digest, options)


class ImportTold(BaseModel):
    """How far the import is; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "run": 1,
                "position": 20_000,
                "offset": 1_048_576,
                "lines": 20_000,
                "events": 19_990,
                "accepted": 19_000,
                "duplicates": 980,
                "rejected": 10,
                "skipped": {"blank": 10},
                "status": "running",
            }
        },
    )

    run: Annotated[int, Field(ge=1, le=LARGEST_ID, description="as the import was answered to who reads the file")]
    position: Count | None = None
    offset: Count | None = None
    lines: Count | None = None
    events: Count | None = None
    accepted: Count | None = None
    duplicates: Count | None = None
    rejected: Count | None = None
    skipped: Skipped | None = None
    status: Literal["running", "done", "failed"] | None = None
    error: Annotated[Text, Field(max_length=1_000)] | None = None

    def told(self) -> dict[str, Any]:
        given = self.model_dump(exclude={"run"}, exclude_none=True)
        if "skipped" in given:
            given["skipped"] = json.dumps(given["skipped"], sort_keys=True)
        return given


class Listing(BaseModel):
    """Which page of the imports, of which site."""

    model_config = ConfigDict(extra="forbid")

    site: Site | None = None
    page: Page = 1
    page_size: PageSize | None = None


class ImportEntry(BaseModel):
    """One file imported. Up to `position` its lines are read and stored; `run` counts those who read it in turn."""

    id: int
    run: int
    site: str
    file_name: str
    format: str
    size: int
    digest: str
    options: dict[str, Any]
    status: str
    position: int
    offset: int
    lines: int
    events: int
    accepted: int
    duplicates: int
    rejected: int
    skipped: dict[str, int]
    error: str | None
    jobs: list[str]
    """Those that undo it."""
    begun_at: str
    updated_at: str

    @classmethod
    def of(cls, one: Import) -> ImportEntry:
        shown = one._asdict() | {
            "status": str(one.status),
            "options": json.loads(one.options),
            "skipped": json.loads(one.skipped),
            "error": one.error or None,
            "jobs": one.jobs.split(",") if one.jobs else [],
            "begun_at": rfc3339(from_epoch_ms(one.begun_at)),
            "updated_at": rfc3339(from_epoch_ms(one.updated_at)),
        }
        return cls.model_validate(shown)


class ImportPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[ImportEntry]
