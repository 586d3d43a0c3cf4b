"""`readership serve` as a process of the test's own: to be started, killed and started again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx
from redis import Redis
from redis.exceptions import RedisError

from tests.clickhouse_server import free_ports

MAIN = "from service.cli import main; main()"
_START_SECONDS = 60


class ServiceProcess:
    """One embedded service on one data folder; its port stays the same over restarts."""

    def __init__(self, data: Path, main: str = MAIN, **environment: str) -> None:
        """Nothing is started yet; `main` is the program, `environment` is added to what it and its commands see."""
        self.data = data
        self.main = main
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data.with_suffix(".log")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("READERSHIP_")},
            "READERSHIP_DATA_DIR": str(data),
            "READERSHIP_PORT": str(self.port),
            "READERSHIP_URL": self.url,
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ready: str = "/readyz") -> None:
        """Returns when that page answers 200; raises RuntimeError with the log when it never does."""
        process = self.launch()
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{self.url}{ready}").status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"the service did not start:\n{self.log.read_text()}")

    def launch(self) -> subprocess.Popen[bytes]:
        """Returns at once."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", self.main, "serve"],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.log.parent,
            )
        return self._process

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, the private Valkey stays behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def valkey_pid(self) -> int | None:
        """Of the private Valkey; None while none answers. A killed service leaves it behind."""
        try:
            with Redis(unix_socket_path=str(self._valkey)) as redis:
                return int(redis.info("server")["process_id"])
        except (RedisError, OSError):
            return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """SIGKILL, and no Valkey stays behind either."""
        self.kill()
        self._stop_valkey()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def ended(self) -> int:
        """The exit status, when it has ended by itself."""
        assert self._process is not None
        return self._process.wait(_START_SECONDS)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A `readership` command with this service's settings."""
        return subprocess.run(
            [sys.executable, "-c", self.main, *arguments],
            env=self.environment,
            cwd=self.log.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _stop_valkey(self) -> None:
        """The one a killed service leaves behind; the next start would stop it, but a test has none."""
        with contextlib.suppress(RedisError, OSError):
            Redis(unix_socket_path=str(self._valkey)).shutdown(nosave=True)

    @property
    def _valkey(self) -> Path:
        return self.data / "valkey" / "valkey.sock"
