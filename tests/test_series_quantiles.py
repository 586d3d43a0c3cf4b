"""Quantiles of samples: never outside what was sent, and exact where the samples themselves are read."""

from __future__ import annotations

from statistics import quantiles

import pytest

from tests.oracle_calendar import MINUTE, instant
from tests.oracle_samples import Taken
from tests.samples import send
from tests.service import Json, Service, new_site

METRIC = "m"
START = instant("2025-01-31T12:00:00+00:00")
SKETCHED = ("hour", "day", "month", "year")
QUANTILES = ("p50", "p95", "p99")


async def ask(service: Service, site: str, interval: str, **more: str) -> list[Json]:
    asked = {"site": site, "metric": METRIC, "interval": interval, "aggregates": "p99,min,p50,max,p95", **more}
    found: list[Json] = (await service.ask("/api/samples/query", **asked))["results"]
    return found


# No Float32 holds these, which is what a t-digest is made of.
@pytest.mark.parametrize("value", [1738324800.123, 16_777_217.0, 0.1, 1e300, -1.7e308])
async def test_all_quantiles_of_one_value_are_that_value(service: Service, value: float) -> None:
    site = new_site()
    await send(service, site, METRIC, [Taken(START + number, value, {}) for number in range(3)])
    for interval in ("minute", *SKETCHED):
        [row] = await ask(service, site, interval)
        assert [row[name] for name in ("min", "max", *QUANTILES)] == [value] * 5, interval


@pytest.mark.parametrize("interval", SKETCHED)
async def test_a_sketch_lies_between_the_least_and_the_greatest(service: Service, interval: str) -> None:
    site = new_site()
    values = [1738324800.123 + number / 8 for number in range(500)]
    await send(service, site, METRIC, [Taken(START + number, value, {}) for number, value in enumerate(values)])
    [row] = await ask(service, site, interval)
    assert (row["min"], row["max"]) == (values[0], values[-1])
    for name in QUANTILES:
        assert values[0] <= row[name] <= values[-1], name
    [alone] = (await service.ask("/api/samples/query", site=site, metric=METRIC, interval=interval, aggregates="p95"))[
        "results"
    ]
    assert alone == {name: told for name, told in row.items() if name not in {"min", "max", "p50", "p99"}}


async def test_where_samples_are_read_quantiles_are_exact(service: Service) -> None:
    site = new_site()
    values = [1738324800.123 + (number * 7919) % 601 for number in range(601)]
    taken = [
        Taken(START + number * 1_000, value, {"user": str(number % 2)}) for number, value in enumerate(values[:-1])
    ]
    await send(service, site, METRIC, [*taken, Taken(START + 11 * MINUTE, values[-1], {"user": "0"})])
    rows = await ask(service, site, "minute", group_by="user")
    part_of_an_hour = await ask(service, site, "day", start="2025-01-31T12:00:00Z", end="2025-01-31T12:10:00Z")
    expected = [values[first + user : first + 60 : 2] for first in range(0, 600, 60) for user in (0, 1)]
    assert [{name: row[name] for name in QUANTILES} for row in [*rows, *part_of_an_hour]] == [
        *map(exact, [*expected, [values[-1]], values[:-1]])
    ]


def exact(values: list[float]) -> Json:
    """As numpy.quantile does by default, between the two values beside it."""
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {name: pytest.approx(cuts[int(name[1:]) - 1], rel=1e-15) for name in QUANTILES}
