"""The port to ClickHouse: what both engines can do, and the one place that chooses between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from clickhouse.statement import Statement

Row = Sequence[Any]


class Engine(Protocol):
    """One database of one ClickHouse. Safe to use from many tasks at once.

    Every method raises `Unavailable` when the engine cannot answer now and `Refused` when it says no.
    """

    async def select(self, statement: Statement) -> list[Row]:
        """All rows of a SELECT, on a connection that cannot write."""
        ...

    async def ask(self, statement: Statement) -> list[Row]:
        """The same for what users ask, within the engine's `Limits`. Raises TooExpensive over one of them."""
        ...

    async def rows_read(self, statement: Statement) -> int:
        """Asks, and tells how many rows of tables that took; the answer itself is thrown away."""
        ...

    async def execute(self, statement: Statement) -> None:
        """A statement that changes something and returns nothing: DDL, or an INSERT with its values."""
        ...

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        """One block in Native format, as one INSERT, answered when its parts and all views are committed."""
        ...

    async def close(self) -> None:
        """Waits for what runs, then lets go of every connection."""
        ...


@dataclass(frozen=True)
class Limits:
    """What one question may cost."""

    seconds: float = 10
    rows: int = 1_000_000_000
    memory: int = 2 * 2**30

    def settings(self) -> dict[str, int | float]:
        """ClickHouse's names for them, and what else a question runs under."""
        return {
            "max_execution_time": self.seconds,
            "max_rows_to_read": self.rows,
            "max_memory_usage": self.memory,
            # A filter may name thousands of values, each in every segment.
            "max_query_size": 4 * 2**20,
            # Rollups are read by their key, and of those rows every column: a first pass over some of the columns made
            # a 768-row answer take 8 ms instead of 5. Where a filter looks past the key, render says PREWHERE.
            "optimize_move_to_prewhere": 0,
            # What is read in the order of the key up to a LIMIT ends there. With a buffer a part, as for a whole table,
            # each portion of an export read all that was left: 1,770,000 rows for 20,000, instead of 430,000.
            "read_in_order_use_buffering": 0,
        }


@dataclass(frozen=True)
class Dsn:
    """Where ClickHouse is: `chdb://<dir>` or `clickhouse[s]://user:password@host:port/database`.

    The embedded form takes `?database=`; the default database of both is `readership`.
    """

    embedded: bool
    database: str
    path: Path = Path()
    host: str = ""
    port: int = 0
    username: str = "default"
    password: str = ""
    secure: bool = False

    @classmethod
    def parse(cls, text: str) -> Dsn:
        """Raises ValueError with one sentence that says what is wrong; never shows the password."""
        url = urlsplit(text)
        if url.scheme == "chdb":
            folder = unquote(text.removeprefix("chdb://").partition("?")[0])
            if not folder:
                raise ValueError("chdb:// needs a folder, as in chdb://./data/clickhouse")
            asked = parse_qs(url.query).get("database", ["readership"])
            return cls(embedded=True, database=asked[-1], path=Path(folder))
        if url.scheme not in {"clickhouse", "clickhouses"}:
            raise ValueError("must start with chdb://, clickhouse:// or clickhouses://")
        if not url.hostname:
            raise ValueError("names no host, as in clickhouse://user:password@host:8123/readership")
        try:
            port = url.port
        except ValueError:
            # Its own message quotes what it took for a port: of an unquoted password, a part.
            raise ValueError("has no number for a port; write / : @ # in a password as %2F %3A %40 %23") from None
        secure = url.scheme == "clickhouses"
        return cls(
            embedded=False,
            database=unquote(url.path.strip("/")) or "readership",
            host=url.hostname,
            port=port or (8443 if secure else 8123),
            username=unquote(url.username or "default"),
            password=unquote(url.password or ""),
            secure=secure,
        )


async def open_engine(dsn: Dsn, limits: Limits | None = None) -> Engine:
    """The engine behind `dsn`, its database created when missing.

    Raises:
        Locked: the embedded folder is open in another process.
        Unavailable: nothing answers there.
    """
    if dsn.embedded:
        from clickhouse.embedded import EmbeddedEngine

        return await EmbeddedEngine.open(dsn.path, dsn.database, limits or Limits())
    from clickhouse.server import ServerEngine

    return await ServerEngine.open(dsn, limits or Limits())


def rows_read(body: bytes) -> int:
    """The rows a statement read, from its answer in JSONCompact."""
    return int(json.loads(body)["statistics"]["rows_read"])
