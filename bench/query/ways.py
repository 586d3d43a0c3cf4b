"""The same questions by the API, by SQL written by hand, and by scans of raw: what they cost, and that they agree."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.queries import latencies
from bench.query.questions import QUESTIONS
from bench.service import HOST, Process
from bench.singles import percentiles
from clickhouse.engine import Dsn, Engine, Limits, open_engine
from clickhouse.statement import Statement

# A raw scan may take what it needs; what questions may cost is not measured here.
LIMITS = Limits(seconds=60, rows=10**10, memory=16 * 2**30)

_SCANS = 3

# As long as `bench.queries` asks the API.
_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """`rows`: keys, distinct blogs, views. `read`: rows of tables. Times in ms."""

    rows: list[tuple[Any, ...]]
    read: int
    p50: float
    p99: float


def by_api(service: Process, requests: int) -> dict[str, Answer]:
    """Over HTTP on one connection; `read` are the rows of the plan, without look-ups of labels."""
    paths = {one.name: one.path for one in QUESTIONS}
    list(latencies(service, paths, 1))  # behind the first of them the service counts its tables' rows
    times = {name: times for name, *times in latencies(service, paths, requests)}
    found = {}
    for one in QUESTIONS:
        results, read = explained(service.port, one.path)
        found[one.name] = Answer([_row(row) for row in results if row["y"]], read, *times[one.name])
    return found


def by_sql(dsn: str, repeats: int) -> dict[str, tuple[Answer, Answer]]:
    """By hand and by a scan; no service may hold the folder."""
    return asyncio.run(_by_sql(Dsn.parse(dsn), repeats))


def differences(asked: Mapping[str, Answer], written: Mapping[str, tuple[Answer, Answer]]) -> Iterator[str]:
    """A line for each statement that says something else than the API."""
    for name, answers in written.items():
        for way, answer in zip(("by hand", "the scan"), answers, strict=True):
            if answer.rows != asked[name].rows:
                ours, theirs = asked[name].rows, answer.rows
                found = next((pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]), "one ends early")
                yield f"WRONG: {name}: the API has {len(ours)} rows, {way} {len(theirs)}; they part at {found}"


def explained(port: int, path: str) -> tuple[list[dict[str, Any]], int]:
    """The results, and how many rows were read for them."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", f"{path}&explain=true")
    answer = json.load(connection.getresponse())
    connection.close()
    plan = answer["meta"]["plan"]
    # The second time ClickHouse passes over what held no match the first time; scans are counted the first time.
    results: list[dict[str, Any]] = answer["results"]
    return results, max(plan["read_rows"], plan["estimated_rows"])


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    """In charts `y` are views, in rankings blogs."""
    keys = [row["id"]] if "id" in row else []
    if "start" in row:
        keys.append(int(datetime.fromisoformat(row["start"]).timestamp()))
    return (*keys, row["blogs"], row["y"]) if "blogs" in row else (*keys, row["y"], row["z"])


async def _by_sql(dsn: Dsn, repeats: int) -> dict[str, tuple[Answer, Answer]]:
    engine = await open_engine(dsn, LIMITS)
    try:
        return {
            one.name: (
                await asked(engine, Statement(one.by_hand), repeats),
                await asked(engine, Statement(one.raw), _SCANS),
            )
            for one in QUESTIONS
        }
    finally:
        await engine.close()


async def asked(engine: Engine, statement: Statement, repeats: int) -> Answer:
    """The first time tells the rows read, and warms up."""
    read = await engine.rows_read(statement)
    times: list[float] = []
    ends = time.perf_counter() + _SECONDS
    while not times or (len(times) < repeats and time.perf_counter() < ends):
        began = time.perf_counter()
        rows = await engine.ask(statement)
        times.append((time.perf_counter() - began) * 1000)
    return Answer(list(map(tuple, rows)), read, *percentiles(times))
