"""The same blocks as plain `INSERT … FORMAT JSONEachRow` into the same tables: ClickHouse alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_hex
from urllib.parse import urlencode

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from bench import wire
from bench.apart import apart
from bench.proc import Cpu
from bench.workload import Workload
from clickhouse.blocks import INSERT_SETTINGS
from clickhouse.engine import Dsn, open_engine
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.rollups import EVENTS

FIELDS = (*Event._fields, "blog_number")
COLUMNS = ", ".join(FIELDS)

# As the service inserts, and with RFC 3339 in the rows as it stands in the events.
_SETTINGS = {**INSERT_SETTINGS, "date_time_input_format": "best_effort"}


@dataclass(frozen=True)
class Inserted:
    """Events per second; µs of CPU an event in ClickHouse (embedded: with the process around it)."""

    rate: float
    cpu_us: float


def insert_embedded(dsn: str, workload: Workload, connections: int) -> Inserted:
    """Through chDB in a process of its own, `connections` handles side by side; the folder must be free."""
    return apart(_embedded, dsn, workload, connections)


def insert_server(dsn: str, server_pid: int, workload: Workload, connections: int) -> Inserted:
    """Over `connections` HTTP connections to the server with this pid."""
    seconds, cpu = apart(_server, dsn, server_pid, workload, connections)
    return Inserted(workload.events / seconds, cpu * 1e6 / workload.events)


def connect(dsn: Dsn) -> Client:
    """A client without the port around it: it takes blocks in any format."""
    if not dsn.embedded:
        return clickhouse_connect.get_client(
            host=dsn.host,
            port=dsn.port,
            username=dsn.username,
            password=dsn.password,
            database=dsn.database,
            settings={"wait_end_of_query": 1},
        )
    client = clickhouse_connect.get_client(interface="chdb", path=str(dsn.path))
    client.database = dsn.database
    client.command("SELECT 1")
    return client


async def _migrated(dsn: Dsn) -> None:
    engine = await open_engine(dsn)
    await migrate(engine)
    await engine.close()


def _embedded(dsn: str, workload: Workload, connections: int) -> Inserted:
    target = Dsn.parse(dsn)
    asyncio.run(_migrated(target))
    clients = [connect(target) for _ in range(connections)]
    blocks = iter(workload.tables())

    def insert(number: int) -> None:
        # One iterator for all threads: each takes the next block when it is done with its last.
        for block in blocks:
            settings = {**_SETTINGS, "insert_deduplication_token": token_hex(16)}
            clients[number].raw_insert(EVENTS, FIELDS, block, settings=settings, fmt="JSONEachRow")

    with ThreadPoolExecutor(connections) as threads:
        cpu, began = time.process_time(), time.perf_counter()
        list(threads.map(insert, range(connections)))
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    for client in clients:
        client.close()
    return Inserted(workload.events / seconds, used * 1e6 / workload.events)


def _server(dsn: str, server_pid: int, workload: Workload, connections: int) -> tuple[float, float]:
    target = Dsn.parse(dsn)
    asyncio.run(_migrated(target))
    requests = list(_requests(target.database, workload))
    before = Cpu.of(server_pid)
    sent = wire.send(target.port, iter(requests), connections)
    return sent.seconds, (Cpu.of(server_pid) - before).total


def _requests(database: str, workload: Workload) -> Iterator[bytes]:
    query = f"INSERT INTO {EVENTS} ({COLUMNS}) FORMAT JSONEachRow"
    for block in workload.tables():
        parameters = {
            "database": database,
            "query": query,
            **_SETTINGS,
            "insert_deduplication_token": token_hex(16),
            "wait_end_of_query": "1",
        }
        yield wire.post(f"/?{urlencode(parameters)}", block, "application/octet-stream")
