"""What became of the last tries to insert: written by the flusher, judged by `readership doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FlushStatus:
    """One for a process. Times are epoch milliseconds; None: never since the start."""

    last_success: int | None = None
    last_failure: int | None = None
    last_error: str = ""
    failing: bool = False
    """The last try failed."""

    def succeeded(self, now_ms: int) -> None:
        self.last_success, self.failing = now_ms, False

    def failed(self, now_ms: int, error: str) -> None:
        """`error`: its first line."""
        self.last_failure, self.last_error, self.failing = now_ms, error, True
