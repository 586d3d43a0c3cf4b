"""A disk that can be full: a tmpfs whose size is changed while it is in use."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

# tmpfs takes memory for what is stored and no more; a service may want gigabytes free before it takes events.
_ROOMY = 8 * 2**30


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Not a byte is free."""
        for _ in range(100):
            # What is written between the two lines makes the kernel refuse the size.
            with suppress(subprocess.CalledProcessError):
                self._resize(shutil.disk_usage(self.folder).used)
                return
        raise RuntimeError(f"{self.folder} grows faster than it can be measured")

    def empty(self) -> None:
        self._resize(_ROOMY)

    def _resize(self, size: int) -> None:
        _mount("-o", f"remount,size={size}", str(self.folder))


@contextmanager
def mounted(folder: Path) -> Iterator[SmallDisk]:
    """Skips the test where mounting is not permitted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk of this test")
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={_ROOMY}", "tmpfs", str(folder))
    except subprocess.CalledProcessError as error:
        if b"permission denied" in error.stderr.lower():
            pytest.skip(f"this container may not mount: {error.stderr.decode().strip()}")
        raise
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that was just killed may not have let go yet.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
