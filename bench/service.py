"""Processes that are measured: a real `readership serve`, and the empty FastAPI route beside it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.proc import Cpu, descendants, rss_mb

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 20


class NotReady(Exception):
    """The process ended or stayed silent; the message ends with its log."""


class Process:
    """One HTTP server with its children, from start to stop. `start_seconds`: from spawn to the first 200."""

    def __init__(self, arguments: list[str], ready: str, folder: Path, environment: dict[str, str]) -> None:
        self.port = _free_port()
        self.start_seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log = folder / "output.log"
        self._command = [sys.executable, *arguments]
        self._ready = f"GET {ready} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("READERSHIP_")}
        self._environment = {**clean, **environment, "READERSHIP_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("the process is not running")
        return self._process.pid

    def cpu(self) -> Cpu:
        return Cpu.of(self.pid)

    def rss_mb(self) -> float:
        """Of the process itself (VmRSS)."""
        return rss_mb(self.pid)

    def children_rss_mb(self) -> float:
        """Of what it started: the private Valkey."""
        return sum(rss_mb(child) for child in descendants(self.pid))

    def __enter__(self) -> Self:
        """Raises NotReady when /readyz never says 200."""
        began = time.perf_counter()
        with self._log.open("ab") as log:
            # In its own folder, away from any .env.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, cwd=self.folder
            )
        while not self._answers():
            silent = time.perf_counter() - began > START_SECONDS
            if silent or self._process.poll() is not None:
                self._end()
                raise NotReady(f"{' '.join(self._command)} did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.005)
        self.start_seconds = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=5) as connection:
                connection.sendall(self._ready)
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def _end(self) -> None:
        """SIGTERM, then SIGKILL to it and to what it left behind."""
        process, self._process = self._process, None
        if process is None:
            return
        family = descendants(process.pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            for child in family:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


def service(data: Path, dsn: str, **settings: str) -> Process:
    """`readership serve` as a person starts it, on one ClickHouse and a private Valkey; it keeps no answers.

    `settings` by their names in small letters.
    """
    given = {"data_dir": str(data), "clickhouse_dsn": dsn, "cache_ttl_seconds": "0", **settings}
    environment = {f"READERSHIP_{name.upper()}": value for name, value in given.items()}
    arguments = ["-c", "from service.cli import main; main()", "serve"]
    return Process(arguments, "/readyz", data.with_name(f"{data.name}-run"), environment)


def empty_route(folder: Path) -> Process:
    """`bench.empty` in a process like the service's."""
    root = Path(__file__).resolve().parent.parent
    return Process(["-m", "bench.empty"], "/readyz", folder, {"PYTHONPATH": str(root)})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
