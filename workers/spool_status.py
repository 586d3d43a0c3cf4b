"""How full the spool is: what metrics show, /readyz asks and `readership doctor` judges."""

from __future__ import annotations

from typing import Protocol


class SpoolStatus(Protocol):
    """Told at the moment a property is read, on the event loop, and in well below a millisecond: scrapes read them all.

    A limit is positive. What the disk cannot tell may raise OSError.
    """

    @property
    def bytes(self) -> int:
        """On disk and not known to be in ClickHouse."""
        ...

    @property
    def limit_bytes(self) -> int: ...

    @property
    def waiting_events(self) -> int: ...

    @property
    def oldest_age_seconds(self) -> float:
        """Since the oldest waiting event was acknowledged; 0 when none waits."""
        ...

    @property
    def limit_age_seconds(self) -> float: ...

    @property
    def free_bytes(self) -> int:
        """Of the spool's disk, as an unprivileged process may use them."""
        ...

    @property
    def min_free_bytes(self) -> int: ...

    @property
    def fault(self) -> str | None:
        """Why no event is taken now, in a few words; None while they are."""
        ...
