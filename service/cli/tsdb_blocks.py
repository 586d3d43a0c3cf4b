"""Prometheus's blocks of a made-up series, by Prometheus's own promtool."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from service.synth import openmetrics
from service.synth.made import Made


class NoBlocks(Exception):
    """There is no promtool, or it failed; one line with what it said."""


def find_promtool() -> str:
    """Raises NoBlocks."""
    found = shutil.which("promtool")
    if found is None:
        raise NoBlocks(
            "--blocks needs promtool, and it is not in PATH: Debian and Ubuntu have it in the package prometheus"
        )
    return found


def make_blocks(promtool: str, made: Made, folder: Path, moved: Callable[[int], None]) -> list[str]:
    """The names of the blocks that are in `folder` now: all of them, or none and nothing else left behind.

    Raises NoBlocks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # In the folder itself, so that a block comes there in one step; Prometheus passes over folders with such names.
    with _ends_orderly(), TemporaryDirectory(prefix=".synth-", dir=folder) as draft:
        text, drafted = Path(draft, "series.txt"), Path(draft, "blocks")
        with text.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(openmetrics.text(made, moved))
        _run(
            [promtool, "tsdb", "create-blocks-from", "--max-block-duration=12h", "openmetrics", str(text), str(drafted)]
        )
        blocks = sorted(drafted.iterdir())
        _move(blocks, folder)
    return [block.name for block in blocks]


def _move(blocks: list[Path], folder: Path) -> None:
    """All of them, or none where one fails."""
    moved: list[tuple[Path, Path]] = []
    try:
        for block in blocks:
            moved.append((block, block.rename(folder / block.name)))  # noqa: PERF401  # known where one fails
    except BaseException:
        for block, there in moved:
            there.rename(block)
        raise


def _run(command: list[str]) -> None:
    # No shell, and nothing of the command comes from the series.
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise NoBlocks(f"promtool failed, status {done.returncode}: {said or 'it said nothing'}")


@contextmanager
def _ends_orderly() -> Iterator[None]:
    """SIGTERM ends the process as Ctrl-C does: what is temporary is removed."""
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
