"""What Redis still has to be told, noted on disk so that a killed process does not take it along."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from workers.files import sync_folder

logger = logging.getLogger(__name__)


class Debt:
    """That Redis has to hear of ids it was not told; a file says so as long as it has not."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changing = asyncio.Lock()
        self.amount = int(file.exists())
        """Grows with every claim that failed."""

    async def add(self) -> None:
        """Returns when a process started after this one would know."""
        self.amount += 1
        async with self._changing:
            try:
                await asyncio.to_thread(_note, self._file)
            except OSError as error:
                logger.error("%s cannot be written, a restart would forget it: %s", self._file, error)

    async def pay(self, amount: int) -> None:
        """Redis has heard of all that was owed when the amount was read; what came after stays owed."""
        async with self._changing:
            if self.amount == amount:
                try:
                    await asyncio.to_thread(self._file.unlink, missing_ok=True)
                except OSError as error:
                    logger.error("%s cannot be removed: %s", self._file, error)
                    return
                self.amount -= amount


def _note(file: Path) -> None:
    if file.exists():
        return
    file.touch(0o600)
    sync_folder(file.parent)
