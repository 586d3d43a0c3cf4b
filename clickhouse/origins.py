"""What the rows of a rebuilt partition are made from: events, a finer rollup, or, where the events have expired and
nobody has asked for more, the rows that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from clickhouse.partitions import Partition
from clickhouse.rollups import grains_of
from clickhouse.shapes import DimensionSet, Feed, Grain
from clickhouse.spans import Span


class Source(StrEnum):
    """Where a rebuild takes its rows from."""

    RAW = "raw"
    """Events."""
    ROLLUP = "rollup"
    """The finest rollup, for what a grain holds that one has; raw for the rest, and wherever the two disagree."""


@dataclass(frozen=True)
class Origin:
    """Dimension sets, the instants whose buckets are meant, and the table (raw or a rollup) they are made from."""

    table: str
    dimension_sets: tuple[DimensionSet, ...]
    span: Span


@dataclass(frozen=True)
class Recipe:
    """How a partition is made: `since` is the first instant (epoch ms) whose events have not expired."""

    partition: Partition
    since: int = 0
    source: Source = Source.RAW

    @property
    def covered(self) -> Span:
        """The buckets whose events are all there; it may be empty."""
        span = self.partition.span
        return Span(min(max(span.start, self.partition.grain.ceiling(self.since)), span.end), span.end)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Each bucket of each dimension set once. What can only be kept has the partition's own table."""
        covered = self.covered
        expired = Span(self.partition.span.start, covered.start)
        found = []
        grain = self.partition.grain
        for feed in _feeds(grain, self.source):
            kept = grain.table if feed.source == grain.dataset.raw else feed.source
            found += [Origin(kept, feed.dimension_sets, expired), Origin(feed.source, feed.dimension_sets, covered)]
        return tuple(one for one in found if one.span.start < one.span.end)


def _feeds(grain: Grain, source: Source) -> Iterator[Feed]:
    if source is Source.RAW:
        yield Feed(grain.dataset.raw, grain.dimension_sets)
        return
    for feed in grain.feeds:
        yield Feed(_finest(grain, feed), feed.dimension_sets)


def finest(grain: Grain) -> str:
    """What its totals are made from by Source.ROLLUP."""
    return next(_finest(grain, feed) for feed in grain.feeds if grain.dataset.whole in feed.dimension_sets)


def _finest(of: Grain, feed: Feed) -> str:
    """The finest rollup that has the sets of a feed, so that a year is made from days; raw, where raw feeds it."""
    table = feed.source
    while finer := [
        one.source
        for grain in grains_of(of.dataset)
        for one in grain.feeds
        if grain.table == table and one.source != of.dataset.raw and {*feed.dimension_sets} <= {*one.dimension_sets}
    ]:
        table = finer[0]
    return table
