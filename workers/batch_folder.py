"""What waits for ClickHouse while there is no spool: the journal's batches, their files alone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path


class BatchFolder:
    """A `SpoolStatus` of at most a batch in flight, and those a killed process left; each counts as one event."""

    limit_bytes = 2**30
    limit_age_seconds = 3600.0
    min_free_bytes = 2**28
    fault: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self._files())

    @property
    def waiting_events(self) -> int:
        return len(self._files())

    @property
    def oldest_age_seconds(self) -> float:
        oldest = min((path.stat().st_mtime for path in self._files()), default=None)
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self._folder).free

    def _files(self) -> list[Path]:
        return list(self._folder.glob("*.native"))
