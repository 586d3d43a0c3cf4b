"""What operators are told of the tables: GET /api/rollups, /metrics and `readership stats`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from clickhouse.partitions import partition_of
from clickhouse.rollups import ALL_GRAINS, OF_SAMPLES, grain_called
from tests.damage import events, lose
from tests.damage import store as store_events
from tests.process import ServiceProcess
from tests.sample_series import rollup_of, samples, store
from tests.service import Json, Service
from tests.test_metrics import scrape
from tests.test_reconciliations import engine_of, reconciled

STORED = samples(200)
LAST = max(one.at for one in STORED)


async def shown(service: Service, **asked: str) -> dict[str, Json]:
    return {row["table"]: row for row in (await service.ask("/api/rollups", **asked))["results"]}


async def quiet(service: Service) -> None:
    """What another service left in the spool it had is looked at first."""
    async with asyncio.timeout(60):
        while any(row["lag_seconds"] for row in (await shown(service)).values()):  # noqa: ASYNC110 - HTTP has no event
            await asyncio.sleep(0.05)


async def test_every_table_of_both_datasets_is_told_about(fresh_service: Service) -> None:
    engine = engine_of(fresh_service)
    await quiet(fresh_service)
    empty = await shown(fresh_service)
    tables = ["view_events", *(one.table for one in ALL_GRAINS if one.dataset is not OF_SAMPLES), "samples"]
    assert list(empty) == [*tables, *(one.table for one in ALL_GRAINS if one.dataset is OF_SAMPLES)]
    nothing = ("first_bucket", "last_bucket", "last_write", "last_rebuild", "compression", "drift", "last_reconcile")
    assert all(row[name] is None for row in empty.values() for name in nothing)
    assert {(row["rows"], row["bytes"], row["lag_seconds"]) for row in empty.values()} == {(0, 0, 0)}

    await store(engine, STORED)
    await store_events(engine, events(30))
    found = await shown(fresh_service, dataset="samples")
    assert {row["dataset"] for row in found.values()} == {"samples"}
    assert [row["grain"] for row in found.values()] == ["raw", "minute", "hour", "day", "week", "month", "year"]
    assert found["samples"]["rows"] == len(STORED)
    assert found["samples_by_year"]["rows"] == len(rollup_of("year", STORED))
    assert (found["samples_by_week"]["first_bucket"], found["samples_by_week"]["last_bucket"]) == (
        "2024-02-26T00:00:00Z",
        "2025-02-10T00:00:00Z",
    )
    assert all(row["compression"] > 0 and row["bytes"] > 0 and row["last_write"] for row in found.values())
    assert {row["lag_seconds"] for row in found.values()} == {0}
    assert set(await shown(fresh_service, dataset="views")) == set(tables[:-1])
    wrong = await fresh_service.http.get("/api/rollups", params={"dataset": "sample"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "dataset")


async def test_a_rollup_whose_end_is_missing_lags(fresh_service: Service) -> None:
    engine = engine_of(fresh_service)
    await quiet(fresh_service)
    await store(engine, STORED)
    days = grain_called(OF_SAMPLES, "day")
    await lose(engine, partition_of(days, LAST), "1")
    before = max(one.at for one in STORED if partition_of(days, one.at) != partition_of(days, LAST))
    lags = {name: row["lag_seconds"] for name, row in (await shown(fresh_service)).items() if row["lag_seconds"]}
    assert lags == {days.table: round((LAST + 1 - days.ceiling(before)) / 1000, 3)}

    lost = [one for one in STORED if partition_of(days, one.at) == partition_of(days, LAST)]
    await reconciled(fresh_service)
    drift = (await shown(fresh_service))[days.table]["drift"]
    assert drift == 2 * len(lost)
    assert (await scrape(fresh_service))[f'readership_drift_views{{table="{days.table}"}}'] == drift


async def test_what_waits_in_the_spool_is_lag_of_its_dataset(
    fresh_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = type(fresh_service.app.state.readership.spools[1])
    monkeypatch.setattr(spool, "oldest_age_seconds", property(lambda self: 7.5 * ("sample" in str(self.folder.path))))
    lags = {row["dataset"]: row["lag_seconds"] for row in (await shown(fresh_service)).values()}
    assert lags == {"views": 0, "samples": 7.5}


def test_stats_prints_one_dataset_or_both(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        assert service.cli("populate", "--blog-views", "50", "--days", "400").returncode == 0
        both = service.cli("stats")
        assert all(one.table in both.stdout for one in ALL_GRAINS)
        assert "lag" in both.stdout
        assert max(map(len, both.stdout.splitlines())) <= 120
        rows = json.loads(service.cli("stats", "--dataset", "views", "--json").stdout)
        assert {row["dataset"] for row in rows} == {"views"}
        wrong = service.cli("stats", "--dataset", "reads")
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr == "readership: --dataset: Input should be 'views' or 'samples'\n"
