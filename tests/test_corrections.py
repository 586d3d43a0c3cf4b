"""A sample sent again with another value: the last one is right, from the next reconcile on, at every grain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clickhouse.blocks import insert
from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms
from clickhouse.rollups import SAMPLE_GRAINS
from clickhouse.samples import Sample, freeze, labels_text
from clickhouse.shapes import DAY
from clickhouse.statement import Statement
from service import clock
from service.state import State
from tests.conftest import NewDsn
from tests.jobs_by_hand import Hands
from tests.service import Json, Service, open_service
from workers.jobs.job import Unit, Value

HOUR = 3_600_000
LATE_2024 = 1_735_686_000_000  # 2024-12-31T23:00:00Z


@pytest.fixture
def sent(site: str) -> list[Json]:
    """Over a year's end, of two users; ids are known to all services of a session."""
    return [
        {"site": site, "metric": "hr", "labels": {"user": user}, "at": LATE_2024 + n * HOUR, "value": 60 + n}
        for user in ("ada", "bob")
        for n in range(4)
    ]


@pytest.fixture
async def own(new_dsn: NewDsn, redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        yield service


async def send(service: Service, samples: list[Json]) -> Json:
    answer = await service.http.post("/api/samples", params={"wait": "stored"}, json=samples)
    assert answer.status_code == 202, answer.text
    told: Json = answer.json()
    return told


def engine_of(service: Service) -> Engine:
    state: State = service.app.state.readership
    return state.engine


async def sums(service: Service) -> dict[str, list[tuple[str, int, float, float, float]]]:
    """Of each series at each grain: labels, samples, and the sum, lowest and highest of their values."""
    found = {}
    for grain in SAMPLE_GRAINS:
        sql = f"""\
SELECT labels, sum(count), sum(sum), min(min), max(max)
FROM {grain.table} WHERE dimension_set = 'series' GROUP BY labels ORDER BY labels"""
        found[grain.name] = [tuple(row) for row in await engine_of(service).select(Statement(sql))]
    return found


def expected(samples: list[Json]) -> list[tuple[str, int, float, float, float]]:
    series: dict[str, list[float]] = {}
    for sample in samples:
        series.setdefault(f'{{"user":"{sample["labels"]["user"]}"}}', []).append(sample["value"])
    return sorted((labels, len(found), sum(found), min(found), max(found)) for labels, found in series.items())


async def reconcile(service: Service, **asked: str | bool) -> bool:
    """Whether all is equal then."""
    begun = await service.http.post("/api/reconciliations", json=asked)
    assert begun.status_code == 202, begun.text
    async with asyncio.timeout(60):
        while True:
            job = await service.ask(begun.json()["status_url"])
            if job["status"] not in {"queued", "running"}:
                break
            await asyncio.sleep(0.05)
    assert job["status"] == "done", job
    page = await service.ask("/api/reconciliations", page_size=100)
    return all(row["equal"] for row in page["results"])


async def test_value_that_came_last_stays(own: Service, sent: list[Json]) -> None:
    assert (await send(own, sent))["accepted"] == 8
    assert (await send(own, sent))["duplicates"] == 8
    corrected = [{**sent[1], "value": 5}, {**sent[6], "value": 500.5}]
    assert (await send(own, corrected))["accepted"] == 2
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(sent + corrected))
    await reconcile(own, repair=True)
    right = [*(one for one in sent if one not in (sent[1], sent[6])), *corrected]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))
    assert await reconcile(own)


async def test_correction_of_an_old_sample_is_found_by_a_run_about_another_hour(own: Service, sent: list[Json]) -> None:
    await send(own, sent)
    await reconcile(own, repair=True)
    await send(own, [{**sent[0], "value": 1}])
    await reconcile(own, start="2025-06-01", end="2025-06-01", repair=True)
    right = [{**sent[0], "value": 1}, *sent[1:]]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))


async def test_of_two_values_in_one_request_the_later_counts(own: Service, sent: list[Json]) -> None:
    assert await send(own, [sent[0], {**sent[0], "value": 7}, sent[1]]) == {
        "accepted": 2,
        "duplicates": 1,
        "rejected": [],
        "stored": True,
    }
    right = [{**sent[0], "value": 7}, sent[1]]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))


async def test_of_samples_that_raw_holds_twice_one_stays(own: Service, sent: list[Json]) -> None:
    await send(own, sent)
    double = 'INSERT INTO samples SELECT * FROM samples WHERE labels = \'{"user":"ada"}\' LIMIT 2'
    await engine_of(own).execute(Statement(double))
    assert not await reconcile(own)
    assert await reconcile(own, repair=True)
    rows = await engine_of(own).select(Statement("SELECT count(), uniqExact(series, at) FROM samples"))
    assert tuple(rows[0]) == (8, 8)
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(sent))


async def test_correction_stored_days_after_it_was_received_is_found(own: Service, sent: list[Json]) -> None:
    await send(own, sent)
    await reconcile(own, repair=True)
    # As a spool or a dead letter that waited has it.
    received = epoch_ms(clock.now()) - 3 * DAY
    labels = labels_text(sent[0]["labels"])
    late = Sample(sent[0]["site"], "hr", labels, sent[0]["at"], 1.0, received)
    early = "ALTER TABLE samples UPDATE received_at = received_at - INTERVAL 9 DAY WHERE 1 SETTINGS mutations_sync = 2"
    await engine_of(own).execute(Statement(early))
    await reconcile(own, repair=True)
    await insert(engine_of(own), freeze("late", [late]))
    await reconcile(own, start="2025-06-01", end="2025-06-01", repair=True)
    right = [{**sent[0], "value": 1}, *sent[1:]]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))


async def test_repairs_of_one_month_side_by_side_all_end_well(own: Service, site: str) -> None:
    readings: list[Json] = [
        {"site": site, "metric": "m", "labels": {"user": "ada"}, "at": LATE_2024 + n * 1_000, "value": n}
        for n in range(500)
    ]
    await send(own, readings)
    for day in (1, 2, 3):
        readings = [{**one, "value": one["value"] + 0.5} for one in readings]
        await send(own, readings)
        spans = [{"start": f"2024-12-0{day}", "end": f"2024-12-{end}"} for end in (10, 31)]
        await asyncio.gather(*(reconcile(own, repair=True, **span) for span in spans))
    assert await reconcile(own)
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(readings))


async def test_deletion_whose_list_is_gone_holds_up_no_repair(own: Service, sent: list[Json]) -> None:
    await send(own, sent)
    await send(own, [{**sent[0], "value": 5}])
    engine = engine_of(own)
    database = (await engine.select(Statement("SELECT currentDatabase()")))[0][0]
    for sql in (
        "CREATE TABLE superseded_202412_0a (series UInt64) ENGINE = Set",
        "SYSTEM STOP MERGES samples",
        f"ALTER TABLE samples DELETE WHERE series IN `{database}`.superseded_202412_0a SETTINGS mutations_sync = 0",
        "DROP TABLE superseded_202412_0a SYNC",
        "SYSTEM START MERGES samples",
    ):
        await engine.execute(Statement(sql))
    assert await reconcile(own, repair=True)
    right = [{**sent[0], "value": 5}, *sent[1:]]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))


async def test_correction_that_comes_while_another_is_repaired_is_left_to_the_next_run(
    own: Service, sent: list[Json]
) -> None:
    first, last = ({**sent[0], "at": epoch_ms(datetime(2026, 1, day, tzinfo=UTC))} for day in (1, 15))
    await send(own, [first, last])
    await reconcile(own, repair=True)
    await send(own, [{**last, "value": 5}])
    state: State = own.app.state.readership
    hands = Hands(state.engine, state.redis)
    about: dict[str, Value] = {"dataset": "samples", "month": 202601, "repair": True, "whole": False}
    found = await hands.run(Unit("samples[202601]", "reconcile_raw", "raw", arguments=about))
    # Of the week before, which no rollup is rebuilt for.
    await send(own, [{**first, "value": 7}])
    for unit in found.more:
        await hands.run(unit)
    assert await sums(own) == dict.fromkeys(
        (grain.name for grain in SAMPLE_GRAINS), expected([first, {**first, "value": 7}, {**last, "value": 5}])
    )
    await reconcile(own, start="2025-06-01", end="2025-06-01", repair=True)
    right = [{**first, "value": 7}, {**last, "value": 5}]
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(right))


async def test_many_at_once(own: Service, site: str) -> None:
    first, second = (
        [
            {"site": site, "metric": "m", "labels": {"user": "ada"}, "at": LATE_2024 + n * 1_000, "value": n / part}
            for n in range(5_000)
        ]
        for part in (1, 4)
    )
    await send(own, first)
    assert (await send(own, second))["accepted"] == 4_999  # 0 is what it was
    assert await reconcile(own, repair=True)
    assert await sums(own) == dict.fromkeys((grain.name for grain in SAMPLE_GRAINS), expected(second))
