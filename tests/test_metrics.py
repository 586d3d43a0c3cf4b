"""GET /metrics as Prometheus reads it."""

from __future__ import annotations

import re
from math import isnan
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from service.events.parse import EventIn
from tests.conftest import NewDsn
from tests.dead_letters import event, letter
from tests.service import Service, open_service
from tests.spool_status import Spool, Unreadable
from workers.dead_letters import DeadLetters
from workers.metrics import EVENT_FIELDS, Metrics

Samples = dict[str, float]


async def scrape(service: Service) -> Samples:
    """Value by name, with its labels as Prometheus writes them."""
    answer = await service.http.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return {
        _written(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _written(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inside}}}" if inside else name


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def families(metrics: Metrics) -> list[Metric]:
    return [family for family in metrics.registry.collect() if family.name.startswith("readership_")]


async def test_scrape_tells_of_the_process_and_of_the_service(service: Service) -> None:
    found = await scrape(service)
    assert found["process_resident_memory_bytes"] > 10_000_000
    assert found["process_open_fds"] > 3
    assert found["process_cpu_seconds_total"] > 0
    assert any(name.startswith("python_info") for name in found)
    assert any(name.startswith("python_gc_collections_total") for name in found)
    assert found['readership_build_info{version="0.1.0"}'] == 1
    assert found["readership_spool_limit_bytes"] > 0
    assert found["readership_spool_disk_free_bytes"] > 0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("text/plain; version=1.0.0; escaping=underscores", "text/plain; version=1.0.0"),
        ("text/html", "text/plain; version=0.0.4"),
        ("text/plain; version=new", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=", "application/openmetrics-text; version=1.0.0"),
    ],
)
async def test_scraper_gets_the_format_it_accepts(service: Service, accept: str, kind: str) -> None:
    answer = await service.http.get("/metrics/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"].startswith(kind)) == (200, True)
    parse = openmetrics.text_string_to_metric_families if "openmetrics" in kind else text_string_to_metric_families
    assert "readership_dead_letters" in {family.name for family in parse(answer.text)}


async def test_questions_are_timed_and_the_cache_is_counted(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, site: str
) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path, cache_ttl_seconds=900) as service:
        for _ in range(3):
            await service.ask("/api/analytics/top/blog", site=site, year=2025)
        await service.ask("/api/analytics/performance", site=site, year=2025, explain=True)
        await service.http.get("/api/analytics/performance", params={"compare": "century"})
        found = await scrape(service)
    counts = {
        name: found[f'readership_query_seconds_count{{endpoint="{name}"}}']
        for name in ("blog-views", "top", "performance")
    }
    assert counts == {"blog-views": 0, "top": 3, "performance": 1}
    cached = {name: found[f'readership_cache_requests_total{{result="{name}"}}'] for name in ("hit", "miss", "bypass")}
    assert cached == {"hit": 2, "miss": 1, "bypass": 1}


async def test_services_of_one_process_count_apart(
    service: Service, new_dsn: NewDsn, redis_url: str, tmp_path: Path, site: str
) -> None:
    await service.ask("/api/analytics/top/blog", site=site)
    async with open_service(new_dsn(), redis_url, tmp_path) as other:
        assert (await scrape(other))['readership_query_seconds_count{endpoint="top"}'] == 0


async def test_dead_letters_are_counted_when_they_are_asked_for(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path
) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        assert (await scrape(service))["readership_dead_letters"] == 0
        DeadLetters(tmp_path / "dead-letters").put(letter([event("s")]))
        assert (await scrape(service))["readership_dead_letters"] == 1


def test_names_follow_the_conventions() -> None:
    metrics = Metrics()
    metrics.watch_spool(Spool())
    metrics.watch_dead_letters(int)
    units = {
        "histogram": r"_(seconds|rows)$",
        "gauge": r"_(bytes|seconds|events|samples|letters|views|buckets|counts)$",
        "counter": r"[a-z]$",
    }
    for family in families(metrics):
        assert re.fullmatch(r"readership_[a-z_]+", family.name)
        assert re.search(units.get(family.type, ""), family.name), family.name
        assert not re.search(r"(milli|micro)seconds|_(ms|kb|mb|minutes)\b", family.name)
        assert family.documentation.endswith(".")


def test_counters_of_known_labels_begin_at_zero() -> None:
    metrics = Metrics()
    for reason in ("spool_full", "too_old", "disk_low", "fsync_failed", "stopping"):
        assert value(metrics, "readership_requests_unavailable_total", reason=reason) == 0


def test_rejections_name_known_fields_alone() -> None:
    assert EventIn.__struct_fields__ == EVENT_FIELDS
    metrics = Metrics()
    metrics.count_rejected(["country", "country", "", *(f"field-{number}" for number in range(1_000))])
    for field, events in {"country": 2, "event": 1, "other": 1_000, "blog_id": 0}.items():
        assert value(metrics, "readership_events_rejected_total", field=field) == events
    (rejected,) = [family for family in families(metrics) if family.name == "readership_events_rejected"]
    assert len({sample.labels["field"] for sample in rejected.samples}) == len(EVENT_FIELDS) + 2


def test_spool_is_asked_at_each_scrape() -> None:
    metrics, spool = Metrics(), Spool(bytes=10, waiting_events=3, oldest_age_seconds=1.5)
    metrics.watch_spool(spool)
    assert value(metrics, "readership_spool_bytes") == 10
    spool.bytes = 20
    assert value(metrics, "readership_spool_bytes") == 20
    assert value(metrics, "readership_spool_waiting_events") == 3
    assert value(metrics, "readership_spool_oldest_age_seconds") == 1.5
    assert value(metrics, "readership_spool_limit_age_seconds") == 100


def test_disk_that_does_not_answer_is_one_value_unknown() -> None:
    metrics = Metrics()
    metrics.watch_spool(Unreadable())
    assert isnan(value(metrics, "readership_spool_disk_free_bytes"))
    assert value(metrics, "readership_spool_limit_bytes") == 1_000
