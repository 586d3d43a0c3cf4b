"""Time cut into days, months and partitions."""

from __future__ import annotations

import pytest

from clickhouse.partitions import Partition, by_partition, partition_of
from clickhouse.rollups import GRAINS
from clickhouse.shapes import DAY, Grain
from clickhouse.spans import Span, days_of, merged, month_of, months_of
from tests.damage import events
from tests.oracle_calendar import instant
from tests.oracle_rollups import partition_id

JANUARY = instant("2025-01-01T00:00:00Z")
FEBRUARY = instant("2025-02-01T00:00:00Z")
MARCH = instant("2025-03-01T00:00:00Z")


@pytest.mark.parametrize("grain", GRAINS, ids=lambda grain: grain.name)
def test_a_partition_spans_the_buckets_that_start_in_it(grain: Grain) -> None:
    for event in events(300):
        partition = partition_of(grain, event.viewed_at)
        assert partition.id == partition_id(grain.name, event.viewed_at)
        assert partition.span.start <= event.viewed_at < partition.span.end
        assert partition_of(grain, partition.span.start) == partition_of(grain, partition.span.end - 1) == partition
        assert partition_of(grain, partition.span.start - 1) != partition != partition_of(grain, partition.span.end)


def test_weeks_at_a_new_year_are_cut_by_their_mondays() -> None:
    week = GRAINS[4]
    wednesday, monday = instant("2025-12-31T10:07:00Z"), instant("2025-12-29T00:00:00Z")
    assert by_partition(week, [Span(wednesday, wednesday + 7 * DAY)]) == {
        Partition(week, "2025"): [Span(monday, monday + 7 * DAY)],
        Partition(week, "2026"): [Span(monday + 7 * DAY, monday + 14 * DAY)],
    }


def test_instants_become_whole_days() -> None:
    assert days_of([JANUARY, JANUARY + DAY - 1, FEBRUARY + 1]) == [
        Span(JANUARY, JANUARY + DAY),
        Span(FEBRUARY, FEBRUARY + DAY),
    ]


def test_spans_that_touch_are_one_and_small_gaps_go_first() -> None:
    spans = [Span(50, 60), Span(0, 10), Span(10, 20), Span(21, 30), Span(5, 7)]
    assert merged(spans) == [Span(0, 20), Span(21, 30), Span(50, 60)]
    assert merged(spans, most=2) == [Span(0, 30), Span(50, 60)]
    assert merged(spans, most=1) == [Span(0, 60)]
    assert merged([], most=1) == []


def test_months_cut_a_span() -> None:
    assert list(months_of(Span(JANUARY + DAY, MARCH))) == [Span(JANUARY + DAY, FEBRUARY), Span(FEBRUARY, MARCH)]
    assert list(months_of(Span(JANUARY, JANUARY))) == []
    assert month_of(202502) == Span(FEBRUARY, MARCH)
