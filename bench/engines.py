"""The ClickHouse that is measured: chDB inside the service, or a real server beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.direct import Inserted, insert_embedded, insert_server
from bench.service import Process, service
from bench.usage import Usage
from bench.workload import Workload
from tests.clickhouse_server import ClickHouseServer
from tests.libchdb import LibchdbUnavailable, find_libchdb


@dataclass(frozen=True)
class Engine:
    """Databases are made by name: embedded each has a folder of its own, on the server they share one."""

    name: str
    folder: Path
    server: ClickHouseServer | None = None

    def service(self, database: str, **settings: str) -> Process:
        return service(self.folder / database, self.dsn(database), **settings)

    def insert(self, workload: Workload, database: str, connections: int) -> Inserted:
        """Directly; no service may hold the database."""
        if self.server is None:
            return insert_embedded(self.dsn(database), workload, connections)
        return insert_server(self.dsn(database), self.server.pid, workload, connections)

    def pids(self, service: Process) -> list[int]:
        """The processes that work for the service."""
        return [service.pid, self.server.pid] if self.server else [service.pid]

    def usage(self, service: Process) -> Usage:
        return Usage.of(service, self.server.pid if self.server else None)

    def dsn(self, database: str) -> str:
        if self.server is None:
            return f"chdb://{self.folder / database / 'clickhouse'}"
        return f"{self.server.dsn.rpartition('/')[0]}/{database}"


@contextmanager
def embedded(folder: Path) -> Iterator[Engine]:
    yield Engine("embedded", folder / "embedded")


@contextmanager
def server(folder: Path) -> Iterator[Engine]:
    """Raises LibchdbUnavailable where there is no server to start."""
    with ClickHouseServer(find_libchdb(), folder / "clickhouse") as running:
        yield Engine("server", folder / "server", running)


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {"embedded": embedded, "server": server}

__all__ = ["ENGINES", "Engine", "LibchdbUnavailable"]
