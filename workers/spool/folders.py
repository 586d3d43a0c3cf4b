"""Whose spool a folder is: each process has one of its own, and takes over those that dead ones left."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOCK = "lock"


@dataclass
class Folder:
    """A folder held by a lock that the kernel drops with the process, however that ends."""

    path: Path
    lock: int

    @property
    def name(self) -> str:
        """Never given to another folder: tokens and claims are made with it."""
        return self.path.name

    def leave(self) -> None:
        os.close(self.lock)

    def remove(self) -> None:
        """With all that is in it; the lock goes last."""
        for file in self.path.iterdir():
            if file.name != _LOCK:
                file.unlink()
        (self.path / _LOCK).unlink()
        self.path.rmdir()
        self.leave()


def take(root: Path) -> list[Folder]:
    """All folders of `root` that no living process has, made where there is none. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    found = [folder for path in sorted(root.iterdir()) if path.is_dir() and (folder := _locked(path))]
    if not found:
        path = root / secrets.token_hex(4)
        path.mkdir()
        found = [folder for folder in [_locked(path)] if folder]
    return found or take(root)


def _locked(path: Path) -> Folder | None:
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        return None  # removed meanwhile by the process that had taken it over
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between open and flock its owner may have removed it, and the lock is on a file that nobody sees.
        if os.fstat(lock).st_ino == (path / _LOCK).stat().st_ino:
            return Folder(path, lock)
    except OSError:
        pass
    with suppress(OSError):
        os.close(lock)
    return None
