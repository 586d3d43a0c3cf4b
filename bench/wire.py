"""The load generator: prebuilt request bytes over keep-alive connections, as little parsing as HTTP allows.

It shares two cores with what it measures, so it has to be cheap: 15 µs a request where httpx takes 400.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.service import HOST


@dataclass(frozen=True)
class Sent:
    """`seconds` from the first byte out to the last answer in; `latencies` in ms, as the answers came."""

    seconds: float
    latencies: list[float]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


class BadAnswer(Exception):
    """A status other than 2xx; the message begins as the answer does."""


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def until(seconds: float, requests: Iterator[bytes]) -> Iterator[bytes]:
    """The requests, as long as that takes at most `seconds` from the first."""
    deadline = time.perf_counter() + seconds
    for request in requests:
        if time.perf_counter() > deadline:
            return
        yield request


def send(port: int, requests: Iterator[bytes], connections: int) -> Sent:
    """Each connection sends the next request when it has the answer to its last, until all are answered.

    Raises:
        BadAnswer: a status other than 2xx.
        ConnectionError: a connection was closed with an answer outstanding.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send(port, requests, connections))


async def _send(port: int, requests: Iterator[bytes], connections: int) -> Sent:
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    opened = []
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: _Connection(requests, latencies), HOST, port)
        opened.append(connection)
    cpu, began = time.process_time(), time.perf_counter()
    for connection in opened:
        connection.next()
    await asyncio.gather(*(connection.done for connection in opened))
    return Sent(time.perf_counter() - began, latencies, time.process_time() - cpu)


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float]) -> None:
        self._requests = requests
        self._latencies = latencies
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._sent = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        if not _complete(buffer):
            return
        self._buffer = b""
        self._latencies.append((time.perf_counter() - self._sent) * 1000)
        if not buffer.startswith(b"HTTP/1.1 2"):
            self.done.set_exception(BadAnswer(buffer[:1000].decode(errors="replace")))
            self._transport.close()
        else:
            self.next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"closed with an answer outstanding: {error}"))


def _complete(answer: bytes) -> bool:
    """Whether head and body are there. ClickHouse answers in chunks, uvicorn with a length."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    length = answer.lower().find(b"\r\ncontent-length:", 0, head)
    if length < 0:
        return answer.endswith(b"0\r\n\r\n")
    wanted = int(answer[length + 17 : answer.find(b"\r\n", length + 17)])
    return len(answer) - head - 4 >= wanted
