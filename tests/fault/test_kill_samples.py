"""kill -9 while samples come in, by JSON and by remote write: each acknowledged one counts once, at every grain."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx

from clickhouse.rollups import SAMPLE_GRAINS
from service.remote_write.codec import Series, encode
from tests.fault.case import Case
from tests.fault.load import PATIENCE
from tests.fault.servers import embedded
from tests.fault.test_kill_service import kill
from tests.fault.truth import Verdict, read
from tests.oracle_calendar import instant

_WRITERS = 4
_FROM = instant("2024-12-28T00:00:00Z")
_METRICS = ("heart_rate", "spo2")
_PAUSE = 0.05


class Key(NamedTuple):
    metric: str
    labels: str
    at: int


class Books:
    """What was sent, and what was acknowledged. Values are whole: sums of them are exact in any order."""

    def __init__(self) -> None:
        self.sent: dict[Key, float] = {}
        self.acknowledged: set[Key] = set()
        self._numbers = count()

    def make(self, rng: Random, samples: int) -> dict[Key, float]:
        """Of new instants: over a year's end, some seconds apart."""
        made = {}
        for _ in range(samples):
            labels = json.dumps(
                {"device": f"d{rng.randrange(2)}", "user": str(rng.randrange(5))}, separators=(",", ":")
            )
            made[Key(rng.choice(_METRICS), labels, _FROM + next(self._numbers) * 6_007)] = float(rng.randrange(40, 200))
        self.sent |= made
        return made


def _body(samples: dict[Key, float]) -> bytes:
    lines = (
        json.dumps({"metric": key.metric, "labels": json.loads(key.labels), "at": key.at, "value": value})
        for key, value in samples.items()
    )
    return "\n".join(lines).encode()


async def _write(url: str, books: Books, rng: Random, stop: asyncio.Event) -> None:
    """Sends each request again until it is acknowledged, and some once more."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        while not stop.is_set():
            samples = books.make(rng, rng.choice((1, 20, 300)))
            await _until_acknowledged(client, books, samples, rng)
            if rng.random() < 0.2:
                await rng.choice(_WAYS)(client, books, samples)


async def _until_acknowledged(client: httpx.AsyncClient, books: Books, samples: dict[Key, float], rng: Random) -> None:
    """Each time by one way or the other."""
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            if await rng.choice(_WAYS)(client, books, samples):
                return
            await asyncio.sleep(_PAUSE)


async def _post(client: httpx.AsyncClient, books: Books, samples: dict[Key, float]) -> bool:
    try:
        answer = await client.post(
            "/api/samples", content=_body(samples), headers={"Content-Type": "application/x-ndjson"}
        )
    except httpx.TransportError:
        return False
    if answer.status_code == 503:
        return False
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["accepted"] + told["duplicates"], told["rejected"]) == (len(samples), []), told
    books.acknowledged |= samples.keys()
    return True


async def _remote_write(client: httpx.AsyncClient, books: Books, samples: dict[Key, float]) -> bool:
    series = [
        Series([("__name__", key.metric), *json.loads(key.labels).items()], [(key.at, value)])
        for key, value in samples.items()
    ]
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    try:
        answer = await client.post("/api/v1/write", content=encode(series), headers=headers)
    except httpx.TransportError:
        return False
    if answer.status_code == 503:
        return False
    assert answer.status_code == 204, answer.text
    books.acknowledged |= samples.keys()
    return True


_WAYS = (_post, _remote_write)


async def test_kill_9_while_samples_come_in(case: Case, tmp_path: Path) -> None:
    books, stop = Books(), asyncio.Event()
    with embedded(tmp_path) as service:
        async with asyncio.TaskGroup() as group:
            for _ in range(_WRITERS):
                group.create_task(_write(service.url, books, Random(case.rng.random()), stop))
            for _ in range(case.form.kills_of_both):
                await asyncio.sleep(case.rng.uniform(0.3, 2.0))
                await kill(case, service)
                await asyncio.to_thread(service.start)
            await asyncio.sleep(1)
            stop.set()
        async with httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as client:
            last = books.make(case.rng, 1)
            answer = await client.post("/api/samples?wait=stored", content=_body(last))
            assert answer.json() == {"accepted": 1, "duplicates": 0, "rejected": [], "stored": True}
            books.acknowledged |= last.keys()
        assert await asyncio.to_thread(service.stop) == 0
        raw, *rollups = await read(f"chdb://{service.data}/clickhouse", _RAW, *map(_rollup, _TABLES))
    stored = [Key(*row[:3]) for row in raw]
    case.ledger.acknowledged |= {str(key) for key in books.acknowledged}
    case.verdict = Verdict(
        stored=len(stored),
        lost=sorted(str(key) for key in books.acknowledged - {*stored}),
        doubled=sorted(str(key) for key in {*stored} if stored.count(key) > 1) if len({*stored}) < len(stored) else [],
        never_sent=sorted(str(key) for key in {*stored} - books.sent.keys()),
        refused_but_stored=[],
        altered=[str(row) for row in raw if books.sent.get(Key(*row[:3])) != row[3]],
        wrong_rollups=[
            f"{table}: {found} instead of {expected}"
            for table, rows in zip(_TABLES, rollups, strict=True)
            if (found := _numbers(rows)) != (expected := _expected({*stored}, books))
        ],
    )
    assert books.acknowledged, "nothing was acknowledged: the test shows nothing"
    assert not case.verdict.faults, case.verdict.faults


_TABLES = tuple(grain.table for grain in SAMPLE_GRAINS)

_RAW = "SELECT metric, labels, toUnixTimestamp64Milli(at), value FROM samples"


def _rollup(table: str) -> str:
    return f"""\
SELECT metric, labels, sum(count), sum(sum), min(min), max(max)
FROM {table}
WHERE dimension_set = 'series'
GROUP BY metric, labels"""


def _numbers(rows: Iterable[list[object]]) -> dict[tuple[object, ...], tuple[object, ...]]:
    return {(*row[:2],): (*row[2:],) for row in rows}


def _expected(stored: set[Key], books: Books) -> dict[tuple[object, ...], tuple[object, ...]]:
    values = defaultdict[tuple[object, ...], list[float]](list)
    for key in stored:
        values[key.metric, key.labels].append(books.sent[key])
    return {series: (len(found), sum(found), min(found), max(found)) for series, found in values.items()}
