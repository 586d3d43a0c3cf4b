"""POST /api/v1/write: what Prometheus sends is stored once; what cannot be taken is counted and costs no other."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from cramjam import snappy

from clickhouse.samples import labels_of, labels_text
from clickhouse.statement import Statement
from service.remote_write.codec import Series, encode
from service.state import State
from tests.conftest import NewDsn
from tests.service import Service, open_service
from tests.test_metrics import scrape
from tests.test_remote_write_codec import field, label, sample

HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
AT = 1_735_689_600_000
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0002))[0]

Stored = list[tuple[str, dict[str, str], int, float]]


def state_of(service: Service) -> State:
    state: State = service.app.state.readership
    return state


def up(*samples: tuple[int, float], **labels: str) -> Series:
    return Series([("__name__", "up"), *labels.items()], [*samples])


async def write(service: Service, site: str, body: Sequence[Series] | bytes, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else encode(body)
    sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.http.post("/api/v1/write", params={"site": site}, content=content, headers=sent)


async def stored(service: Service, site: str, count: int) -> Stored:
    """All of a site, when there are `count` of them."""
    statement = Statement(
        "SELECT metric, labels, toUnixTimestamp64Milli(at), value FROM samples WHERE site = {site:String} ORDER BY ALL",
        {"site": site},
    )
    deadline = time.monotonic() + 60
    while True:
        rows = await state_of(service).engine.select(statement)
        if len(rows) >= count:
            return [(metric, labels_of(labels), at, value) for metric, labels, at, value in rows]
        assert time.monotonic() < deadline, rows
        await asyncio.sleep(0.05)


async def test_samples_are_stored_by_series_and_once(service: Service, site: str) -> None:
    series = [up((AT, 1.0), (AT + 15_000, 0.5), job="b", none=""), up((AT, -3.25), job="a", note='"\n,é')]
    for _ in range(2):
        answer = await write(service, site, series)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await write(service, site, [up((AT + 30_000, 2.0), job="b")])).status_code == 204
    assert await stored(service, site, 4) == [
        ("up", {"job": "a", "note": '"\n,é'}, AT, -3.25),
        ("up", {"job": "b"}, AT, 1.0),
        ("up", {"job": "b"}, AT + 15_000, 0.5),
        ("up", {"job": "b"}, AT + 30_000, 2.0),
    ]


async def test_what_cannot_be_taken_is_counted_and_costs_no_other(service: Service, site: str) -> None:
    before = await scrape(service)
    hour_ahead = 1_000 * int(time.time() + 3_600)
    series = [
        up((AT, math.nan), (AT + 1, math.inf), (AT + 2, 1.0), (AT + 3, STALE), (AT + 4, -math.inf), (0, 1.0)),
        up((AT, 1.0), (hour_ahead, 1.0), **{"a-b": "1"}),
        Series([("__name__", "up"), ("a", "1"), ("a", "2")], [(AT, 1.0)]),
        Series([("job", "nameless")], [(AT, 1.0)]),
        Series([("__name__", "1up")], [(AT, 1.0)]),
        up((AT, 7.0), job="good"),
    ]
    broken = field(1, label(b"__name__", b"up") + label(b"a", b"\xff") + sample(AT, 1))
    other = field(1, label(b"__name__", b"x") + field(3, b"e") + field(4, b"h")) + field(3, b"m") + field(3, b"m")
    message = bytes(snappy.decompress_raw(encode(series))) + broken + other
    assert (await write(service, site, bytes(snappy.compress_raw(message)))).status_code == 204
    assert await stored(service, site, 2) == [("up", {"job": "good"}, AT, 7.0), ("up", {}, AT + 2, 1.0)]
    after = await scrape(service)
    counted = {
        'rejected_total{field="value"}': 3,
        'rejected_total{field="at"}': 1,
        'rejected_total{field="labels"}': 4,
        'rejected_total{field="metric"}': 2,
        'passed_over_total{kind="stale"}': 1,
        'passed_over_total{kind="exemplar"}': 1,
        'passed_over_total{kind="histogram"}': 1,
        'passed_over_total{kind="metadata"}': 2,
        "accepted_total": 2,
    }
    changed = {name: after[f"readership_samples_{name}"] - before[f"readership_samples_{name}"] for name in counted}
    assert changed == counted


@pytest.mark.parametrize("series", [[], [up()], [up((AT, STALE))]])
async def test_a_request_with_nothing_to_store_is_taken(series: list[Series], service: Service, site: str) -> None:
    assert (await write(service, site, series)).status_code == 204


async def test_of_nothing_but_faults_the_answer_names_them(service: Service, site: str) -> None:
    answer = await write(service, site, [up((AT, math.nan), (AT + 1, math.inf), (1, 1.0))])
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "none of 3 samples was acceptable: value must be a finite number (2);"
        " at must lie between 2000-01-01 and ten minutes from now (1)"
    )
    assert "\n" not in answer.text, "Prometheus logs the first line"


def long(count: int, length: int) -> dict[str, str]:
    return {f"l{number:02}": "x" * length for number in range(count)}


async def test_labels_that_are_large_together_are_a_reason(service: Service, site: str) -> None:
    answer = await write(service, site, [up((AT, 1.0), (AT + 1, 1.0), **long(9, 1_024))])
    assert answer.status_code == 400
    assert "none of 2 samples was acceptable: labels must take at most 8192 bytes together, as JSON (2)" in answer.text
    exact = long(8, 1_000)
    exact |= {"rest": "x" * (8_192 - len(labels_text(exact)) - len(',"rest":""'))}
    assert len(labels_text(exact).encode()) == 8_192
    assert (await write(service, site, [up((AT, 1.0), **exact)])).status_code == 204
    assert (await write(service, site, [up((AT, 1.0), **exact | {"rest": exact["rest"] + "x"})])).status_code == 400
    assert await stored(service, site, 1) == [("up", exact, AT, 1.0)]


async def test_a_series_whose_samples_spell_its_labels_too_often_is_too_large(service: Service, site: str) -> None:
    """The body has 500 kB, what would be kept of it 800 MB."""
    body = encode([up(*((AT + number, 1.0) for number in range(100_000)), **long(8, 1_000))])
    assert len(body) < 600_000
    answer = await write(service, site, body)
    assert answer.status_code == 413
    assert "the samples, each with its metric and labels, are larger than 67108864 bytes" in answer.text


WHOLE = encode([up((AT, 1.0))])
VERSION_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (WHOLE[:-1], {}, 400, "the body is no snappy block"),
        (b"", {}, 400, "the body is no snappy block"),
        (bytes(snappy.compress_raw(b"\x0a\xff")), {}, 400, "the body is no prometheus.WriteRequest"),
        (b"\xff\xff\xff\xff\x0f", {}, 413, "larger than"),
        (WHOLE, {"Content_Encoding": "gzip"}, 415, "Content-Encoding must be snappy"),
        (WHOLE, {"Content_Type": "application/json"}, 415, "application/x-protobuf"),
        (
            WHOLE,
            {"Content_Type": VERSION_2},
            415,
            "remote write 1.0",
        ),
    ],
)
async def test_what_is_no_remote_write_1_is_refused(
    body: bytes, headers: dict[str, str], status: int, detail: str, service: Service, site: str
) -> None:
    answer = await write(service, site, body, **headers)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


@pytest.mark.parametrize(
    "parameters",
    [
        "proto=prometheus.WriteRequest",
        'charset=utf-8; proto="prometheus.WriteRequest"',
        "charset=utf-8",
        "Version=1",
        "",
    ],
)
async def test_the_content_type_may_say_more(parameters: str, service: Service, site: str) -> None:
    kind = f"application/x-protobuf; {parameters}"
    assert (await write(service, site, WHOLE, Content_Type=kind)).status_code == 204


@pytest.mark.parametrize("query", ["site=", "site=a&site=b", f"site={'x' * 254}", "site=%00"])
async def test_a_site_that_is_none_is_named(query: str, service: Service) -> None:
    answer = await service.http.post(f"/api/v1/write?{query}", content=WHOLE, headers=HEADERS)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "site"


async def test_when_the_spool_takes_nothing_prometheus_is_to_come_again(
    new_dsn: NewDsn, redis_url: str, folder: Path, site: str
) -> None:
    async with open_service(new_dsn(), redis_url, folder, spool_min_free_bytes=2**62) as service:
        answer = await write(service, site, WHOLE)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
