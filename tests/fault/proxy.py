"""A TCP proxy between the service and ClickHouse that breaks what passes through it.

It knows of HTTP only that client and server take turns: what a client sends after an answer is the next request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from enum import Enum
from random import Random
from typing import Self

_PIECE = 65_536

# Of the requests that pass while the proxy breaks things, those it breaks.
_OF_INSERTS, _OF_OTHERS = 0.6, 0.1

# Seconds without a byte that end a request: a client sends all of it in one go.
_QUIET = 0.002

# Of a slow drip: so many bytes at a time, and how many times before the rest comes at once; it takes a second.
_DRIP, _DRIPS, _DRIP_PAUSE = 64, 200, 0.005


class Fault(Enum):
    RESET_BEFORE = "resets before the request"
    RESET_DURING = "resets in the middle of the request"
    RESET_AFTER = "resets right after the request"
    STALL_REQUEST = "requests stalled"
    DRIP_REQUEST = "requests dripped"
    SWALLOW = "answers swallowed"
    CUT_ANSWER = "answers cut in the middle"
    STALL_ANSWER = "answers stalled"
    DRIP_ANSWER = "answers dripped"


class _Broken(Exception):
    """Both ends of the connection are to be reset."""


class Proxy:
    """Listens on a port of its own while it is entered; breaks requests at random while `breaking` is True."""

    def __init__(self, target: int, rng: Random, stall_seconds: float) -> None:
        self.breaking = False
        self.faults: Counter[str] = Counter()
        self.stall_seconds = stall_seconds
        self._target = target
        self._rng = rng
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def pick(self, request: bytes) -> Fault | None:
        """The fault that a request meets, which begins with these bytes."""
        share = _OF_INSERTS if b"INSERT" in request else _OF_OTHERS
        if not self.breaking or self._rng.random() >= share:
            return None
        fault = self._rng.choice(list(Fault))
        self.faults[fault.value] += 1
        return fault

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        connection = _Connection(self)
        pumps = [
            asyncio.create_task(connection.requests(reader, server[1])),
            asyncio.create_task(connection.answers(server[0], writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            _reset(writer)
            _reset(server[1])


class _Connection:
    """Both directions of one; each ends when its sender closes or a fault breaks it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._fault: Fault | None = None
        self._answered = True

    async def requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await self._piece(reader):
            if self._answered:
                self._answered, self._fault = False, self._proxy.pick(piece)
            await self._pass(piece, writer, _REQUEST)

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            self._answered = True
            if self._fault is Fault.RESET_AFTER:
                raise _Broken  # the server was quicker than the reset
            await self._pass(piece, writer, _ANSWER)

    async def _piece(self, reader: asyncio.StreamReader) -> bytes:
        if self._fault is not Fault.RESET_AFTER:
            return await reader.read(_PIECE)
        async with asyncio.timeout(_QUIET):
            return await reader.read(_PIECE)

    async def _pass(self, piece: bytes, writer: asyncio.StreamWriter, effects: dict[Fault, str]) -> None:
        effect = effects.get(self._fault, "") if self._fault else ""
        if effect == "nothing":
            raise _Broken
        if effect == "half":
            writer.write(piece[: len(piece) // 2])
            await writer.drain()
            raise _Broken
        if effect == "late":
            self._fault = None
            await asyncio.sleep(self._proxy.stall_seconds)
        if effect == "slowly":
            self._fault = None
            piece = await _drip(piece, writer)
        writer.write(piece)
        await writer.drain()


_REQUEST = {
    Fault.RESET_BEFORE: "nothing",
    Fault.RESET_DURING: "half",
    Fault.STALL_REQUEST: "late",
    Fault.DRIP_REQUEST: "slowly",
}
_ANSWER = {
    Fault.SWALLOW: "nothing",
    Fault.CUT_ANSWER: "half",
    Fault.STALL_ANSWER: "late",
    Fault.DRIP_ANSWER: "slowly",
}


async def _drip(piece: bytes, writer: asyncio.StreamWriter) -> bytes:
    """What is left of it."""
    for start in range(0, min(len(piece), _DRIP * _DRIPS), _DRIP):
        writer.write(piece[start : start + _DRIP])
        await writer.drain()
        await asyncio.sleep(_DRIP_PAUSE)
    return piece[_DRIP * _DRIPS :]


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST in place of FIN: the other end gets an error, not an end."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() != -1:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
