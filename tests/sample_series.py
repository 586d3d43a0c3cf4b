"""Samples of a few series, stored as the flusher stores them, and what the rollups should say of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from clickhouse.blocks import insert
from clickhouse.engine import Engine
from clickhouse.rollups import OF_SAMPLES, grain_called
from clickhouse.samples import Sample, freeze, labels_text
from clickhouse.statement import Statement
from tests.oracle_calendar import DAY, instant

# A week over new year, a leap day, plain ones in two months.
DAYS = ("2024-12-30", "2024-12-31", "2025-01-01", "2024-02-29", "2025-01-15", "2025-02-15")


def samples(count: int, seed: int = 1, metric: str = "heart_rate", site: str = "default") -> list[Sample]:
    """Of four series; no two at one time, for which of them is the last of a metric is nobody's promise."""
    chance = random.Random(seed)
    found: dict[int, Sample] = {}
    for number in range(count):
        labels = labels_text({"user": f"u{number % 2}", "device": chance.choice("ab")})
        at = instant(f"{DAYS[number % len(DAYS)]}T00:00:00Z") + chance.choice([0, DAY - 1, chance.randrange(DAY)])
        found[at] = Sample(site, metric, labels, at, float(chance.randrange(400) / 4), at)
    return list(found.values())


async def store(engine: Engine, batch: Sequence[Sample]) -> None:
    """One batch, as the flusher inserts it."""
    await insert(engine, freeze(str(uuid4()), batch))


# count, sum, min, max, last; sums of quarters are exact in any order.
Numbers = tuple[int, float, float, float, float]
Rollup = dict[tuple[str, str, str, str, str], Numbers]


def rollup_of(grain: str, batch: Iterable[Sample]) -> Rollup:
    """By site, dimension set, metric, labels and bucket."""
    groups: dict[tuple[str, str, str, str, str], list[Sample]] = {}
    for one in batch:
        bucket = _text(grain_called(OF_SAMPLES, grain).floor(one.at))
        groups.setdefault((one.site, "metric", one.metric, "", bucket), []).append(one)
        groups.setdefault((one.site, "series", one.metric, one.labels, bucket), []).append(one)
    return {key: _numbers(group) for key, group in groups.items()}


def _numbers(group: Sequence[Sample]) -> Numbers:
    values = [one.value for one in group]
    last = max(group, key=lambda one: one.at)
    return len(values), sum(values), min(values), max(values), last.value


async def rollup_in(engine: Engine, grain: str) -> Rollup:
    rows = await engine.select(
        Statement(
            f"""\
SELECT site, toString(dimension_set), metric, labels, toString(bucket),
    sum(r.count), sum(r.sum), min(r.min), max(r.max), argMaxMerge(r.last)
FROM samples_by_{grain} AS r
GROUP BY ALL"""
        )
    )
    return {(row[0], row[1], row[2], row[3], row[4]): (row[5], row[6], row[7], row[8], row[9]) for row in rows}


def _text(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
