"""Ten people with two devices each, readings a second apart and years of readings: every grain equals numpy.

The full form (`--readings full`, which is `make heart-rates`) has 26 million of them; the short one, that runs with all
other tests, is scaled down in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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

# Two years have more minutes than an answer may have; of hours a winter is enough.
RANGES = {
    "minute": {"start": "2025-01-29T12:00:30Z", "end": "2025-02-01T00:00:01Z"},
    "hour": {"start": "2024-12-01T00:00:00Z", "end": "2025-03-01T00:00:00Z"},
}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Readings:
    """Of each of the twenty series: two years of readings `step` apart, up to the end of January 2025; in place of the
    last of them `dense` readings a second apart."""

    step: int
    dense: int

    @cached_property
    def instants(self) -> NDArray[np.int64]:
        """In epoch ms, ascending."""
        # A minute over, for two of each kind of period.
        first, end = instant("2023-02-01T00:00:00+00:00"), instant("2025-02-01T00:01:00+00:00")
        seconds = np.arange(end - self.dense * SECOND, end, SECOND)
        return np.concatenate([np.arange(first, seconds[0], self.step), seconds])

    @cached_property
    def values(self) -> Floats:
        """One row a series. Whole beats, as devices tell them: their sums are exact in any order."""
        shape = USERS * len(DEVICES), len(self.instants)
        return np.random.default_rng(6).integers(45, 180, shape).astype(np.float64)


FORMS = {
    "short": Readings(step=93 * HOUR, dense=240),
    "full": Readings(step=MINUTE, dense=3 * 86_400),
}


@pytest.fixture(scope="module")
def readings(request: pytest.FixtureRequest) -> Readings:
    return FORMS[request.config.getoption("--readings")]


@pytest.fixture(scope="module")
async def site(service: Service, readings: Readings) -> str:
    site = new_site()
    for number, values in enumerate(readings.values):
        labels = {"user": str(number // 2 + 1), "device": DEVICES[number % 2]}
        taken = zip(readings.instants.tolist(), values.tolist(), strict=True)
        await send(service, site, METRIC, [Taken(at, value, labels) for at, value in taken])
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


def groups(readings: Readings, asked: Json, by: int) -> list[tuple[str, str, Floats]]:
    """(start, number, values) of `by` series that follow each other, by time."""
    sides = [instant(asked[side]) if side in asked else beyond for side, beyond in (("start", 0), ("end", 2**60))]
    inside = slice(*np.searchsorted(readings.instants, sides))
    zone = asked.get("timezone", "UTC")
    minutes, of = np.unique(readings.instants[inside] // MINUTE * MINUTE, return_inverse=True)
    periods = np.array([period_of(at, asked["interval"], zone).start for at in minutes.tolist()])
    starts, edges = np.unique(periods[of], return_index=True)
    parts = np.split(readings.values[:, inside], edges[1:], axis=1)
    return [
        (rfc3339(start), str(first // by + 1), part[first : first + by].ravel())
        for start, part in zip(starts.tolist(), parts, strict=True)
        for first in range(0, len(part), by)
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month", "year"])
async def test_average_least_greatest_and_count_per_user_equal_numpy(
    service: Service, readings: Readings, site: str, interval: str, zone: str
) -> None:
    asked: Json = {"interval": interval, "timezone": zone, "group_by": "user", **RANGES.get(interval, {})}
    expected = [
        (start, user, values.mean(), values.min(), values.max(), values.size)
        for start, user, values in groups(readings, asked, len(DEVICES))
    ]
    told = [
        (row["start"], row["labels"]["user"], row["avg"], row["min"], row["max"], row["count"])
        for row in await ask(service, site, **asked)
    ]
    assert told == sorted(expected)
    assert len(expected) >= USERS * 2


@pytest.mark.parametrize("interval", ["minute", "day", "month"])
async def test_quantiles_are_numpys_within_the_sketchs_error(
    service: Service, readings: Readings, site: str, interval: str
) -> None:
    asked: Json = {"interval": interval, "start": "2025-01-31T23:58:00Z", "end": "2025-02-01T00:01:00Z"}
    found = await ask(service, site, aggregates="p50,p95,p99,count", **asked)
    for row, (_, _, values) in zip(found, groups(readings, asked, len(readings.values)), strict=True):
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
