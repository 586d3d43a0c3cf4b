"""Whose spool a folder is: each process has one of its own, and takes over those that dead ones left."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.files import sync_folder

_LOCK = "lock"
_NAME = re.compile("[0-9a-f]{8}")

# Folders on their way in and out, which nobody takes.
_NEW, _GONE = ".new-", ".gone-"

# Beside the spools: files that could not be read, the only copy of what is in them.
DAMAGED = "damaged"


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
        """With all that is in it but damaged files. Half a folder would be taken for one whose records wait."""
        gone = self.path.with_name(f"{_GONE}{self.name}")
        if self.path.exists():
            for file in self.path.glob("*.damaged"):
                kept = self.path.parent / DAMAGED
                kept.mkdir(exist_ok=True)
                file.rename(kept / f"{self.name}-{file.name}")
            self.path.rename(gone)
            sync_folder(gone.parent)
        shutil.rmtree(gone, ignore_errors=True)  # what is left of it goes at the next start
        self.leave()


def take(root: Path) -> list[Folder]:
    """All folders of `root` that no living process has, made where there is none. Raises OSError."""
    if not root.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        sync_folder(root.parent)
    for gone in root.glob(f"{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)  # another process may be at it
    paths = [path for path in sorted(root.iterdir()) if path.is_dir() and _NAME.fullmatch(path.name)]
    return [folder for folder in map(_locked, paths) if folder] or [_made(root)]


def _made(root: Path) -> Folder:
    """Held before anybody can see it."""
    name = secrets.token_hex(4)
    new = root / f"{_NEW}{name}"
    new.mkdir()
    lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    new.rename(root / name)
    sync_folder(root)
    return Folder(root / name, lock)


def _locked(path: Path) -> Folder | None:
    """None: its owner lives, or it was removed meanwhile."""
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between open and flock its owner may have removed it, and the lock is on a file that nobody sees.
        if os.fstat(lock).st_ino == (path / _LOCK).stat().st_ino:
            return Folder(path, lock)
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(lock)
        raise
    with suppress(OSError):
        os.close(lock)
    return None
