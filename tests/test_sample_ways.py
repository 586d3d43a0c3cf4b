"""A sample is the same by whatever way it comes: JSON, text, remote write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import permutations

import pytest

from clickhouse.rollups import SAMPLE_GRAINS
from clickhouse.statement import Statement
from service.ingest.rejections import Wrong
from service.remote_write.codec import Series, encode
from service.samples.arrivals import Arrivals
from tests.service import Service
from tests.test_reconciliations import engine_of

# Of the last day, for which Redis vouches.
AT = time.time_ns() // 1_000_000 - 3_600_000

Way = Callable[[Service, str, float], Awaitable[None]]


async def by_json(service: Service, site: str, value: float) -> None:
    sample = {"metric": "m", "at": AT, "value": value, "labels": {"a": "b"}, "site": site}
    answer = await service.http.post("/api/samples", json=sample)
    assert answer.status_code == 202, answer.text


async def by_text(service: Service, site: str, value: float) -> None:
    line, kind = f'm{{a="b"}} {value} {AT}\n', {"Content-Type": "text/plain"}
    answer = await service.http.post("/api/samples", params={"site": site}, content=line, headers=kind)
    assert answer.status_code == 202, answer.text


async def by_remote_write(service: Service, site: str, value: float) -> None:
    body = encode([Series([("__name__", "m"), ("a", "b")], [(AT, value)])])
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    answer = await service.http.post("/api/v1/write", params={"site": site}, content=body, headers=headers)
    assert answer.status_code == 204, answer.text


async def flushed(service: Service, site: str) -> None:
    """What was sent before is in ClickHouse, or is not counted."""
    last = {"metric": "last", "value": 1, "site": f"{site}-last"}
    answer = await service.http.post("/api/samples", params={"wait": "stored"}, json=last)
    assert answer.json()["stored"], answer.text


async def raw_and_rollups(service: Service, site: str) -> list[list[tuple[int, float]]]:
    """Count and sum of a site's samples, in each table."""
    counts = ["SELECT count(), sum(value) FROM samples"]
    counts += [f"SELECT sum(count), sum(sum) FROM {grain.table}" for grain in SAMPLE_GRAINS]
    wheres = [" WHERE site = {site:String}"] + [" WHERE site = {site:String} AND dimension_set = 'series'"] * 6
    return [
        [(row[0], row[1]) for row in await engine_of(service).select(Statement(count + where, {"site": site}))]
        for count, where in zip(counts, wheres, strict=True)
    ]


async def test_what_came_by_one_way_is_known_by_the_others(service: Service, site: str) -> None:
    ways = permutations((by_json, by_text, by_remote_write))
    orders = {f"{site}-{number}": order for number, order in enumerate(ways)}
    for turn in range(3):
        for one, order in orders.items():
            await order[turn](service, one, 5.0)
        await flushed(service, site)
    for way in (by_remote_write, by_json, by_text):  # in one batch
        await way(service, site, 5.0)
    await flushed(service, site)
    for one in (*orders, site):
        assert await raw_and_rollups(service, one) == [[(1, 5.0)]] * 7, one


async def test_a_value_that_comes_back_by_remote_write_is_no_correction_of_the_one_between(
    service: Service, site: str
) -> None:
    for value in (1.0, 2.0, 1.0):
        await by_remote_write(service, site, value)
        await flushed(service, site)
    assert await raw_and_rollups(service, site) == [[(2, 3.0)]] * 7


async def test_samples_without_a_time_correct_no_other(service: Service, site: str) -> None:
    """In one request, and in many of the same millisecond."""
    many = [{"metric": "lcp", "value": value, "site": site} for value in (1, 1, 2, 3)]
    line, text = "lcp 5\nlcp 5\n", {"Content-Type": "text/plain"}
    for _ in range(5):
        answers = await asyncio.gather(
            *(service.http.post("/api/samples", json=many) for _ in range(8)),
            *(service.http.post("/api/samples", params={"site": site}, content=line, headers=text) for _ in range(8)),
        )
        told = [(answer.json()["accepted"], answer.json()["duplicates"]) for answer in answers]
        assert told == [(4, 0)] * 8 + [(1, 1)] * 8
    await flushed(service, site)
    assert await raw_and_rollups(service, site) == [[(200, 480.0)]] * 7


def test_a_series_runs_ahead_by_ten_minutes_at_most() -> None:
    arrivals = Arrivals()
    assert [arrivals.at("s", "m", "{}", AT) for _ in range(600_001)] == [*range(AT, AT + 600_001)]
    with pytest.raises(Wrong, match="is required"):
        arrivals.at("s", "m", "{}", AT)
    assert arrivals.at("s", "m", '{"a":"b"}', AT) == AT
    assert arrivals.at("s", "m", "{}", AT + 5) == AT + 600_001
    assert arrivals.at("s", "m", "{}", AT + 2_000_000) == AT + 2_000_000
