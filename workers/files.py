"""What the disk has to be told so that it keeps a file."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Names in the folder outlive a power loss when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes, *, sync: bool = True) -> None:
    """The file holds `content` or what it held before, never a part. With `sync` which of them is on disk on return."""
    draft = path.with_name(f"{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a name that outlives its content would be an empty file
    draft.replace(path)
    if sync:
        sync_folder(path.parent)
