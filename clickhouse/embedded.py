"""chDB behind the port: a pool of handles, one thread each; this is the only file where calls cross threads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error as DriverError

from clickhouse.engine import Limits, Row, rows_read
from clickhouse.errors import ClickHouseError, Locked, Unavailable, verdict
from clickhouse.slow import told_when_slow
from clickhouse.statement import Statement

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

logger = logging.getLogger(__name__)
T = TypeVar("T")

# One handle serialises its calls (3 x sleep 0.8 s took 2.4 s), several run side by side (4 took 0.85 s). Questions
# have their own: slow ones must not hold up the look-ups that every batch of events waits for.
ASKERS = 4
READERS = 2
CHANGERS = 4


class EmbeddedEngine:
    """Handles that can only read, some for questions; one that inserts events, which are ordered by being alone on it;
    and some for all other changes, of which one may take minutes."""

    def __init__(self, askers: _Handles, readers: _Handles, writer: _Handles, changers: _Handles) -> None:
        self._askers = askers
        self._readers = readers
        self._writer = writer
        self._changers = changers

    @classmethod
    async def open(cls, path: Path, database: str, limits: Limits) -> EmbeddedEngine:
        """Creates folder and database when missing. Raises Locked when another process has the folder."""
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        writer = _Handles(path, database, count=1)
        try:
            await writer.run(_ping)
        except BaseException:
            writer.close()
            raise
        askers = _Handles(path, database, count=ASKERS, read_only={**limits.settings(), "readonly": 1})
        readers = _Handles(path, database, count=READERS, read_only={"readonly": 1})
        return cls(askers, readers, writer, _Handles(path, database, count=CHANGERS))

    async def select(self, statement: Statement) -> list[Row]:
        with told_when_slow(statement.sql):
            return await self._readers.run(lambda client: _rows(client, statement))

    async def ask(self, statement: Statement) -> list[Row]:
        return await self._askers.run(lambda client: _rows(client, statement))

    async def rows_read(self, statement: Statement) -> int:
        # chDB's own summary counts the rows of the answer; the statistics of JSONCompact those of the tables.
        body = await self._askers.run(
            lambda client: client.raw_query(statement.sql, parameters=statement.values, fmt="JSONCompact")
        )
        return rows_read(body)

    async def execute(self, statement: Statement) -> None:
        with told_when_slow(statement.sql):
            await self._changers.run(lambda client: client.command(statement.sql, parameters=statement.values))

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        with told_when_slow(f"INSERT INTO {table}"):
            await self._writer.run(
                lambda client: client.raw_insert(table, columns, block, settings=dict(settings), fmt="Native")
            )

    async def close(self) -> None:
        await asyncio.to_thread(self._askers.close)
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._changers.close)
        await asyncio.to_thread(self._writer.close)


class _Handles:
    """Threads that each own one chDB handle, opened on the thread's first call."""

    def __init__(
        self, path: Path, database: str, count: int, *, read_only: Mapping[str, int | float] | None = None
    ) -> None:
        """`read_only`: settings that end the handle's freedom to change any."""
        self._path = path
        self._database = database
        self._read_only = read_only
        self._own = threading.local()
        self._opened: list[Client] = []
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="chdb-read" if read_only else "chdb-write")

    async def run(self, call: Callable[[Client], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, call)

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        for client in self._opened:
            client.close()
        self._opened.clear()

    def _call(self, call: Callable[[Client], T]) -> T:
        try:
            client = getattr(self._own, "client", None)
            if client is None:
                client = self._own.client = self._open()
                self._opened.append(client)
            return call(client)
        except DriverError as error:
            raise _translate(error, self._path, limited=len(self._read_only or {}) > 1) from error
        except OSError as error:
            # An insert goes through a file in TMPDIR, which may be full.
            raise Unavailable(f"embedded ClickHouse: {error}") from error

    def _open(self) -> Client:
        client = clickhouse_connect.get_client(interface="chdb", path=str(self._path))
        if self._read_only is None:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}`")
        client.database = self._database
        client.command("SELECT 1")  # binds the handle to the database, which readonly would forbid
        # readonly comes last: it refuses writes, file(), url(), and any further SET.
        for name, value in (self._read_only or {}).items():
            client.command(f"SET {name} = {value}")
        return client


def _ping(client: Client) -> None:
    client.command("SELECT 1")


def _rows(client: Client, statement: Statement) -> list[Row]:
    return list(client.query(statement.sql, parameters=statement.values).result_rows)


def _translate(error: DriverError, path: Path, *, limited: bool) -> ClickHouseError:
    text = str(error)
    # chDB says no more than this when another process holds the folder's lock.
    if "initializing EmbeddedServer" in text or "Cannot lock file" in text:
        return Locked(f"{path} is open in another process; embedded ClickHouse allows one at a time")
    return verdict(text, getattr(error, "code", None), limited=limited)
