"""A ClickHouse server behind the port, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import aiohttp
from clickhouse_connect.driver import create_async_client
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import Error as DriverError

from clickhouse.engine import Dsn, Limits, Row, rows_read
from clickhouse.errors import ClickHouseError, Unavailable, verdict
from clickhouse.slow import told_when_slow
from clickhouse.statement import Statement

T = TypeVar("T")

# An insert of 100,000 rows takes below two.
INSERT_SECONDS = 60

# 2: may set limits per query but not write; a reader's credentials may forbid more.
_READ = {"readonly": "2"}


class ServerEngine:
    """One pool of HTTP connections, no sessions: statements of one client may overlap."""

    def __init__(self, client: AsyncClient, limits: Limits) -> None:
        self._client = client
        self._ask = {**_READ, **limits.settings()}

    @classmethod
    async def open(cls, dsn: Dsn, limits: Limits) -> ServerEngine:
        """Creates the database when missing. Raises Unavailable when nothing answers there."""
        bootstrap = await _translated(_connect(dsn, database="default"))
        try:
            exists = await _translated(
                bootstrap.query("SELECT 1 FROM system.databases WHERE name = {name:String}", {"name": dsn.database})
            )
            if not exists.result_rows:
                await _translated(bootstrap.command(f"CREATE DATABASE IF NOT EXISTS `{dsn.database}`"))
        finally:
            await bootstrap.close()
        return cls(await _translated(_connect(dsn, database=dsn.database)), limits)

    async def select(self, statement: Statement) -> list[Row]:
        query = self._client.query(statement.sql, parameters=dict(statement.values), settings=_READ)
        with told_when_slow(statement.sql):
            return list((await _translated(query)).result_rows)

    async def ask(self, statement: Statement) -> list[Row]:
        query = self._client.query(statement.sql, parameters=dict(statement.values), settings=self._ask)
        return list((await _translated(query, limited=True)).result_rows)

    async def rows_read(self, statement: Statement) -> int:
        query = self._client.raw_query(
            statement.sql, parameters=dict(statement.values), settings=self._ask, fmt="JSONCompact"
        )
        return rows_read(await _translated(query, limited=True))

    async def execute(self, statement: Statement) -> None:
        with told_when_slow(statement.sql):
            await _translated(self._client.command(statement.sql, parameters=dict(statement.values)))

    async def insert(self, table: str, columns: Sequence[str], block: bytes, settings: Mapping[str, str]) -> None:
        # Without wait_end_of_query a 200 may go out before the views have run.
        insert = self._client.raw_insert(
            table, list(columns), block, settings={**settings, "wait_end_of_query": "1"}, fmt="Native"
        )
        # A connection that is cut without a word would be waited for five minutes. The statement may go on over there.
        with told_when_slow(f"INSERT INTO {table}"):
            await _translated(asyncio.wait_for(insert, INSERT_SECONDS))

    async def close(self) -> None:
        await self._client.close()


async def _connect(dsn: Dsn, database: str) -> AsyncClient:
    return await create_async_client(
        host=dsn.host,
        port=dsn.port,
        username=dsn.username,
        password=dsn.password,
        secure=dsn.secure,
        database=database,
        autogenerate_session_id=False,
    )


async def _translated(call: Awaitable[T], *, limited: bool = False) -> T:
    try:
        return await call
    except DriverError as error:
        raise _verdict(error, limited=limited) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"ClickHouse does not answer: {error}") from error


def _verdict(error: DriverError, *, limited: bool) -> ClickHouseError:
    code = getattr(error, "code", None)
    if code is None:
        return Unavailable(str(error))  # the connection broke before ClickHouse could answer
    return verdict(str(error), code, limited=limited)
