"""Rollups of samples that were spoilt, and samples that were corrected, as operators see them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from clickhouse.engine import Engine
from clickhouse.partitions import Partition, partition_of
from clickhouse.rollups import OF_SAMPLES, SAMPLE_GRAINS, grain_called
from clickhouse.samples import Sample, labels_of
from clickhouse.statement import Statement
from tests.damage import add
from tests.process import ServiceProcess
from tests.sample_series import rollup_in, rollup_of, samples, store
from tests.service import Json, Service, new_site
from tests.test_reconciliations import engine_of, reconciled

# Services of a session share one Redis, which knows what was sent by its site.
STORED = samples(120, site=new_site())
AT = STORED[0].at


def sent(batch: list[Sample]) -> list[Json]:
    return [
        {"site": one.site, "metric": one.metric, "labels": labels_of(one.labels), "at": one.at, "value": one.value}
        for one in batch
    ]


async def post(service: Service, batch: list[Sample]) -> tuple[int, int]:
    """How many were accepted, and how many duplicates."""
    answer = await service.http.post("/api/samples", params={"wait": "stored"}, json=sent(batch))
    assert answer.status_code == 202, answer.text
    assert answer.json()["rejected"] == []
    return answer.json()["accepted"], answer.json()["duplicates"]


async def assert_right(engine: Engine, expected: list[Sample]) -> None:
    for grain in SAMPLE_GRAINS:
        assert await rollup_in(engine, grain.name) == rollup_of(grain.name, expected), grain.name


async def test_a_value_that_comes_back_within_a_day_counts_as_its_own_retry(fresh_service: Service) -> None:
    first = [STORED[0]._replace(site=new_site())]
    second = [first[0]._replace(value=1000.0)]
    assert [await post(fresh_service, one) for one in (first, second, first)] == [(1, 0), (1, 0), (0, 1)]
    await reconciled(fresh_service, repair=True)
    await assert_right(engine_of(fresh_service), second)


async def test_partitions_that_are_gone_doubled_or_say_other_sums_are_healed(fresh_service: Service) -> None:
    engine = engine_of(fresh_service)
    await store(engine, STORED)
    spoilt = {"minute": _drop, "hour": _double, "week": _other_sums, "year": _double}
    partitions = {name: partition_of(grain_called(OF_SAMPLES, name), AT) for name in spoilt}
    for name, partition in partitions.items():
        await spoilt[name](engine, partition)
    rows = {row["table"]: row for row in await reconciled(fresh_service) if not row["equal"]}
    assert {(row["table"], row["partition"]) for row in rows.values()} == {
        (one.grain.table, one.id) for one in partitions.values()
    }
    for name, partition in partitions.items():
        there = sum(partition_of(partition.grain, one.at) == partition for one in STORED)
        row = rows[partition.grain.table]
        assert (row["drift"], row["distinct_drift"] > 0) == (0 if name == "week" else 2 * there, True)
    await reconciled(fresh_service, repair=True)
    await assert_right(engine, STORED)


async def _drop(engine: Engine, partition: Partition) -> None:
    await engine.execute(Statement(f"ALTER TABLE {partition.grain.table} DROP PARTITION ID '{partition.id}'"))


async def _double(engine: Engine, partition: Partition) -> None:
    await add(engine, partition, f"SELECT * FROM {partition.grain.table} WHERE _partition_id = '{partition.id}'")


async def _other_sums(engine: Engine, partition: Partition) -> None:
    update = f"ALTER TABLE {partition.grain.table} UPDATE sum = sum + 1 IN PARTITION ID '{partition.id}' WHERE 1"
    await engine.execute(Statement(f"{update} SETTINGS mutations_sync = 2"))


def test_the_command_line_tells_of_samples_in_their_own_words(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        for value in (1.0, 2.0):
            body = sent([STORED[0]._replace(value=value)])
            httpx.post(f"{service.url}/api/samples?wait=stored", json=body, timeout=60).raise_for_status()
        told = service.cli("reconcile")
        assert told.returncode == 1
        assert told.stdout.splitlines()[-1].startswith(
            f'not equal: 1 corrected sample (such as {STORED[0].site} heart_rate{{"device":"'
        )
        repaired = service.cli("reconcile", "--repair")
        last_line = "equal, 1 corrected sample dropped, 6 buckets repaired"
        assert (repaired.returncode, repaired.stdout.splitlines()[-1]) == (0, last_line)
        assert json.loads(service.cli("reconcile", "--json").stdout)["equal"]
