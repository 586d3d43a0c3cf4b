"""A spool that tells what a test wants it to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Spool:
    """`workers.spool_status.SpoolStatus`, empty and far from every limit."""

    bytes: int = 0
    limit_bytes: int = 1_000
    waiting_events: int = 0
    oldest_age_seconds: float = 0.0
    limit_age_seconds: float = 100.0
    free_bytes: int = 10_000
    min_free_bytes: int = 1_000
    fault: str | None = None


class Unreadable(Spool):
    """Its disk does not answer."""

    @property
    def free_bytes(self) -> int:
        raise OSError(5, "Input/output error")

    @free_bytes.setter
    def free_bytes(self, _: int) -> None: ...
