"""Services that are spoilt: on a ClickHouse server of the test's own, directly or through something in between."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.clickhouse_server import ClickHouseServer
from tests.process import ServiceProcess

# Answers must show what is stored now.
UNCACHED = {"READERSHIP_CACHE_TTL_SECONDS": "0"}


def embedded(folder: Path, **environment: str) -> ServiceProcess:
    return ServiceProcess(folder / "data", **UNCACHED, **environment)


def service_on(clickhouse: ClickHouseServer, folder: Path, port: int = 0, **environment: str) -> ServiceProcess:
    """`port` is that of a proxy before the server."""
    return ServiceProcess(
        folder / "data", READERSHIP_CLICKHOUSE_DSN=dsn_of(clickhouse, port), **UNCACHED, **environment
    )


def dsn_of(clickhouse: ClickHouseServer, port: int = 0) -> str:
    return f"clickhouse://default:@127.0.0.1:{port or clickhouse.http_port}/readership"


async def execute(clickhouse: ClickHouseServer, sql: str) -> None:
    """A statement behind the service's back."""
    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"http://127.0.0.1:{clickhouse.http_port}/", params={"database": "readership"}, content=sql, timeout=60
        )
    assert response.status_code == 200, response.text
