"""What the rows of a rebuilt partition are made from."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """Where a rebuild takes its rows from."""

    RAW = "raw"
    """Events."""
    ROLLUP = "rollup"
    """A finer rollup, for what a grain holds that one has; raw for the rest, and wherever the two disagree."""
