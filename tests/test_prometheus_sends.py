"""A stock Prometheus that scrapes itself and sends all of it here: what it holds is what is stored and answered."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import datetime
from pathlib import Path

from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from clickhouse.samples import labels_of
from clickhouse.statement import Statement
from service.state import State
from tests.prometheus import Prometheus, prometheus_or_skip
from tests.service import Service, listening

CONFIG = """
global: {scrape_interval: 1s}
scrape_configs:
- job_name: itself
  static_configs: [{targets: [ADDRESS]}]
remote_write:
- url: URL
  queue_config: {batch_send_deadline: 1s}
"""

SECONDS = 5
"""Of scrapes that are compared: some 400 series, each once a second."""

METRICS = ("up", "go_goroutines", "process_cpu_seconds_total", "prometheus_http_request_duration_seconds_bucket")

Series = frozenset[tuple[str, str]]
Samples = dict[tuple[Series, int], float]


async def stored(service: Service, site: str, until: int) -> Samples:
    """`until` in epoch milliseconds, included."""
    state: State = service.app.state.readership
    sql = "SELECT metric, labels, toUnixTimestamp64Milli(at), value FROM samples WHERE site = {site:String}"
    return {
        (frozenset({"__name__": metric, **labels_of(labels)}.items()), at): value
        for metric, labels, at, value in await state.engine.select(Statement(sql, {"site": site}))
        if at <= until
    }


async def held(prometheus: Prometheus, until: int) -> Samples:
    """Of what Prometheus holds all that is finite."""
    found = await asyncio.to_thread(prometheus.samples, '{__name__=~".+"}', until // 1_000 + 60)
    return {
        (frozenset(labels.items()), at): value
        for labels, samples in found
        for at, value in ((round(1_000 * seconds), value) for seconds, value in samples)
        if at <= until and math.isfinite(value)
    }


async def on_the_second(
    service: Service, site: str, metric: str, first: int, until: int
) -> dict[Series, list[tuple[int, float]]]:
    """What `query_range` answers, of what is answered here: at each second, the value of the last sample by then."""
    start, end = (rfc3339(from_epoch_ms(at)) for at in (first, until + 1))
    asked = {"metric": metric, "site": site, "interval": "raw", "start": start, "end": end, "page_size": 1_000}
    last: dict[Series, dict[int, float]] = {}
    for row in (await service.ask("/api/samples/query", **asked))["results"]:
        series = frozenset({"__name__": metric, **row["labels"]}.items())
        at = epoch_ms(datetime.fromisoformat(row["at"]))
        # It counts from the next whole step on; rows come in order of time, so a later one overwrites.
        last.setdefault(series, {}).update(
            dict.fromkeys(range(first - (first - at) // 1_000 * 1_000, until + 1, 1_000), row["value"])
        )
    return {series: [*values.items()] for series, values in last.items()}


async def test_what_a_prometheus_holds_of_itself_is_what_is_stored_and_answered(
    service: Service, site: str, tmp_path: Path
) -> None:
    programs = await asyncio.to_thread(prometheus_or_skip)
    async with listening(service) as url:
        config = CONFIG.replace("URL", f"{url}/api/v1/write?site={site}")
        with Prometheus(programs, tmp_path / "data", config) as prometheus:
            deadline = time.monotonic() + 120
            # It begins when it has found its targets, some 5 s after its start.
            while not (first := await asyncio.to_thread(prometheus.get, "query", query="up[1m]")):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            first_at = round(1_000 * first[0]["values"][0][0])
            until = first_at + 1_000 * SECONDS
            await asyncio.sleep(max(0, until / 1_000 + 1 - time.time()))
            there = await held(prometheus, until)
            while len(here := await stored(service, site, until)) < len(there):
                assert time.monotonic() < deadline, (len(here), len(there))
                await asyncio.sleep(0.2)
            assert here == there
            for metric in METRICS:
                asked = {"query": metric, "start": first_at / 1_000, "end": until / 1_000, "step": 1}
                theirs = await asyncio.to_thread(prometheus.get, "query_range", **asked)
                assert await on_the_second(service, site, metric, first_at, until) == {
                    frozenset(one["metric"].items()): [(round(1_000 * at), float(value)) for at, value in one["values"]]
                    for one in theirs
                }
    scraped = [at for series, at in here if ("__name__", "up") in series]
    assert len(scraped) > SECONDS / 2
    assert len(here) > 300 * len(scraped)
