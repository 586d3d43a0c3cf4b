"""Batches that were begun and are not known to be committed, fsynced on disk before their first try.

A kill between raw and a rollup leaves half a batch; only the same block with the same token heals that, so it has to
outlive the process. The spool will keep events here before they are acknowledged; now it is one batch, or none.
"""

from __future__ import annotations

import os
from pathlib import Path

from clickhouse.events import Block

_SUFFIX = ".native"


class Journal:
    """One file a batch, named by its token. Calls block for an fsync or two: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def begin(self, block: Block) -> None:
        """The block is on disk when this returns; a torn write is no file. Raises OSError when it is not."""
        path = self._path(block.token)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(block.data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def end(self, token: str) -> None:
        """The batch is committed. Should the file come back after a power loss, its token makes it harmless."""
        self._path(token).unlink()

    def begun(self) -> list[Block]:
        """What an earlier process left, oldest first."""
        for draft in self._folder.glob("*.draft"):
            draft.unlink()
        files = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        return [Block(path.stem, path.read_bytes()) for path in files]

    def _path(self, token: str) -> Path:
        return self._folder / f"{token}{_SUFFIX}"
