"""Ten people with two devices each, a reading a second and a year of readings: every grain equals numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.oracle_calendar import HOUR, MINUTE, SECOND, instant, period_of, rfc3339
from tests.oracle_samples import Taken
from tests.samples import send
from tests.service import Json, Service, new_site

METRIC = "heart_rate"
USERS, DEVICES = 10, ("strap", "watch")

# A reading a second over some minutes, and then one every 31 hours over more than a year, weeks 52 and 53 in it.
DENSE, SPARSE = instant("2025-01-31T23:57:00+00:00"), instant("2023-12-25T00:30:00+00:00")
DENSE_READINGS, SPARSE_READINGS = 240, 120

Floats = NDArray[np.float64]


def _instants() -> NDArray[np.int64]:
    dense = DENSE + SECOND * np.arange(DENSE_READINGS)
    sparse = SPARSE + 31 * HOUR * np.arange(SPARSE_READINGS * 3)[::3]
    return np.concatenate([sparse, dense])


INSTANTS = _instants()
# Whole beats, as devices tell them: their sums are exact in any order. One row a series.
VALUES: Floats = np.random.default_rng(6).integers(45, 180, (USERS * len(DEVICES), len(INSTANTS))).astype(np.float64)


@pytest.fixture(scope="module")
async def site(service: Service) -> str:
    site = new_site()
    for number, values in enumerate(VALUES):
        labels = {"user": str(number // 2 + 1), "device": DEVICES[number % 2]}
        readings = zip(INSTANTS.tolist(), values.tolist(), strict=True)
        await send(service, site, METRIC, [Taken(at, value, labels) for at, value in readings])
    return site


async def ask(service: Service, site: str, **asked: Any) -> list[Json]:
    """All pages."""
    given = {"site": site, "metric": METRIC, "page_size": 1000, **asked}
    answer = await service.ask("/api/samples/query", **given)
    found: list[Json] = answer["results"]
    while answer["next"]:
        answer = (await service.http.get(answer["next"])).json()
        found += answer["results"]
    return found


def groups(asked: Json, by: int) -> list[tuple[str, str, Floats]]:
    """(start, number, values) of `by` series that follow each other, by time."""
    least, greatest = (instant(asked[side]) if side in asked else None for side in ("start", "end"))
    inside = ((least or 0) <= INSTANTS) & ((greatest or 2**60) > INSTANTS)
    zone = asked.get("timezone", "UTC")
    starts = np.array([period_of(at, asked["interval"], zone).start for at in INSTANTS[inside].tolist()])
    return [
        (rfc3339(start), str(first // by + 1), VALUES[first : first + by, inside][:, starts == start].ravel())
        for start in np.unique(starts).tolist()
        for first in range(0, len(VALUES), by)
    ]


# Of minutes and hours an answer has at most 11,000.
RANGES = {
    "minute": {"start": "2025-01-29T12:00:30Z", "end": "2025-02-01T00:00:01Z"},
    "hour": {"start": "2024-12-01T00:00:00Z", "end": "2025-03-01T00:00:00Z"},
}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month", "year"])
async def test_average_least_greatest_and_count_per_user_equal_numpy(
    service: Service, site: str, interval: str, zone: str
) -> None:
    asked: Json = {"interval": interval, "timezone": zone, "group_by": "user", **RANGES.get(interval, {})}
    expected = [
        (start, user, values.mean(), values.min(), values.max(), values.size)
        for start, user, values in groups(asked, len(DEVICES))
    ]
    told = [
        (row["start"], row["labels"]["user"], row["avg"], row["min"], row["max"], row["count"])
        for row in await ask(service, site, **asked)
    ]
    assert told == sorted(expected)
    assert len(expected) >= USERS * 2


@pytest.mark.parametrize("interval", ["minute", "day", "month"])
async def test_quantiles_are_numpys_within_the_sketchs_error(service: Service, site: str, interval: str) -> None:
    asked: Json = {"interval": interval, "start": "2025-01-31T23:58:00Z", "end": "2025-02-01T00:01:00Z"}
    found = await ask(service, site, aggregates="p50,p95,p99,count", **asked)
    for row, (_, _, values) in zip(found, groups(asked, len(VALUES)), strict=True):
        assert row["count"] == values.size > 1_000
        for name, of in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            least, greatest = np.quantile(values, [max(0, of - 0.01), min(1, of + 0.01)])
            assert least <= row[name] <= greatest, (name, row)


async def test_average_is_of_all_readings_never_of_averages(service: Service) -> None:
    """A quiet hour of one reading and a busy one of sixty: the day's average leans to the busy one."""
    day, site = instant("2024-07-01T00:00:00+00:00"), new_site()
    quiet = [Taken(day, 40.0, {"user": "1"})]
    busy = [Taken(day + 5 * HOUR + minute * MINUTE, 100.0, {"user": "1"}) for minute in range(60)]
    await send(service, site, METRIC, [*quiet, *busy])
    for interval in ("day", "week", "month", "year"):
        [row] = await ask(service, site, interval=interval)
        assert row["avg"] == (40 + 60 * 100) / 61
