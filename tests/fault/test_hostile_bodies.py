"""Bodies that mean no good: each gets a proper answer in bounded memory, and what is good in one is counted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fault.case import Case
from tests.fault.hostile import Hostile, bodies, handwritten
from tests.fault.oracle import Ledger
from tests.fault.servers import embedded

# Bodies under way at once: large ones, of up to 100 MB, and small ones. Each group also is one example of hypothesis's.
_LARGE_AT_ONCE, _AT_ONCE = 4, 20

# Bytes the service may take beyond what it has before the first body: four bodies of 64 MiB decompressed and split into
# a million pieces, and the caches that ClickHouse fills meanwhile. 1 GiB is generous: it took 0.2.
_MOST_MEMORY = 2**30


async def test_hostile_bodies(case: Case, tmp_path: Path) -> None:
    with embedded(tmp_path) as service:
        before = peak_memory(service.pid)
        await asyncio.to_thread(post_all, case, service.url)
        for request, status in TORN:
            assert (await asyncio.to_thread(answer_to, service.port, request)).startswith(status)
        assert service.is_running
        grown = peak_memory(service.pid) - before
        case.faults["MiB more memory at the peak"] = grown // 2**20
        assert grown < _MOST_MEMORY
        await case.prove(service)


def post_all(case: Case, url: str) -> None:
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(_AT_ONCE) as threads:

        def post_group(group: list[Hostile]) -> None:
            for body in group:
                case.ledger.send(body.good)
            case.faults["hostile bodies"] += len(group)
            for body, response in zip(group, threads.map(lambda body: post(client, body), group), strict=True):
                check(case.ledger, body, response)

        large = handwritten()
        while group := list(islice(large, _LARGE_AT_ONCE)):
            post_group(group)

        @seed(case.rng.getrandbits(32))
        @settings(
            max_examples=case.form.bodies // _AT_ONCE,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(bodies(case.rng), min_size=_AT_ONCE, max_size=_AT_ONCE))
        def post_many(group: list[Hostile]) -> None:
            post_group(group)

        post_many()


def post(client: httpx.Client, body: Hostile) -> httpx.Response:
    content: bytes | Iterator[bytes] = body.body
    if body.chunked:
        content = (body.body[at : at + 65_536] for at in range(0, len(body.body), 65_536))
    return client.post("/api/events", content=content, headers={"Content-Type": "application/json", **body.headers})


def check(ledger: Ledger, body: Hostile, response: httpx.Response) -> None:
    if response.status_code == 202:
        answer = response.json()
        assert answer["accepted"] + answer["duplicates"] == len(body.good), answer
        ledger.acknowledge(body.good)
        return
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == response.status_code
    assert problem["title"]
    assert not body.good, problem
    assert 400 <= response.status_code < 500, problem


# What an HTTP library would not send. Below the application uvicorn answers, in its own words.
_HEAD = b"POST /api/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
TORN = [
    (_HEAD + b"Content-Length: 9\r\n\r\n" + b'{"blog_id": "a"}', b"HTTP/1.1 400"),
    (_HEAD + b"Content-Length: 100\r\n\r\n" + b'{"blog_id": "a"}', b""),
    (_HEAD + b"Content-Length: -1\r\n\r\n{}", b"HTTP/1.1 400"),
    (_HEAD + b"Content-Length: 1e3\r\n\r\n{}", b"HTTP/1.1 400"),
    (_HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", b"HTTP/1.1 4"),
    (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", b"HTTP/1.1 400"),
    (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n{}", b""),
    (b"POST /api/events HTTP/1.1\r\n\0\0\r\n\r\n", b"HTTP/1.1 400"),
]


def answer_to(port: int, request: bytes) -> bytes:
    """What comes before the connection ends; the client sends no more than `request`."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            return connection.recv(65_536)
        except ConnectionResetError:
            return b""


def peak_memory(pid: int) -> int:
    """The most bytes a process has held in memory since it started."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
