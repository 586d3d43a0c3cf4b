"""A disk that does not write: in a service's process, fsync fails as long as a file exists."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def program(flag: Path) -> str:
    """The service with this fault in it, for ServiceProcess."""
    return (
        f"from tests.fault.broken_disk import break_while_exists; break_while_exists({str(flag)!r});"
        " from service.cli import main; main()"
    )


def break_while_exists(flag: str) -> None:
    """Python's own fsync alone, not that of a library written in C: ClickHouse and Valkey go on."""

    def failing(sync: Callable[[Any], None]) -> Callable[[Any], None]:
        def sync_or_fail(file: Any) -> None:
            if Path(flag).exists():
                raise OSError(errno.EIO, "on purpose")
            sync(file)

        return sync_or_fail

    for name in ("fsync", "fdatasync"):
        setattr(os, name, failing(getattr(os, name)))
