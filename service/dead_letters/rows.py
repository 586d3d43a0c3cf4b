"""How dead letters and what was done with them look in answers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from clickhouse.instants import from_epoch_ms, rfc3339
from workers.dead_letters import Summary


class DeadLetter(BaseModel):
    """A batch that ClickHouse refused; of an unreadable one (`fault`) only id, size and age are known."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "5f0c8f0e-5d0b-4c55-9a53-1e9d6d6f9b7a",
                "refused_at": "2025-01-31T12:00:00Z",
                "reason": "Cannot parse value of blog_id",
                "code": 27,
                "sites": ["default"],
                "rows": 1200,
                "dataset": "views",
                "first_at": "2025-01-31T11:59:58.120Z",
                "last_at": "2025-01-31T11:59:59.998Z",
                "size_bytes": 86_211,
                "fault": None,
            }
        }
    )

    id: str
    refused_at: str
    reason: str | None
    code: int | None
    sites: list[str]
    rows: int | None
    dataset: str | None
    first_at: str | None
    last_at: str | None
    size_bytes: int
    fault: str | None

    @classmethod
    def of(cls, summary: Summary) -> DeadLetter:
        about = summary.about
        return cls(
            id=summary.id,
            refused_at=_instant(about.refused_at if about else summary.written_at),
            reason=about.reason if about else None,
            code=about.code if about else None,
            sites=about.sites if about else [],
            rows=about.rows if about else None,
            dataset=about.dataset if about else None,
            first_at=_instant(about.first_at) if about else None,
            last_at=_instant(about.last_at) if about else None,
            size_bytes=summary.size,
            fault=summary.fault,
        )


class DeadLetterPage(BaseModel):
    count: int
    next: str | None
    previous: str | None
    results: list[DeadLetter]


class Retried(BaseModel):
    """The letter is gone, its events are counted."""

    id: str
    rows: int


class Dropped(BaseModel):
    """The letter is gone, its events will never be counted."""

    id: str


def _instant(epoch_ms: int) -> str:
    return rfc3339(from_epoch_ms(epoch_ms))
