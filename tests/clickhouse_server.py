"""A real ClickHouse server for the tests: a process to start, kill and restart on the same folder and ports.

`libchdb.so` carries clickhouse-local, which serves HTTP and the native protocol after SYSTEM START LISTEN.
This file is both ends: tests use ClickHouseServer, and it runs this same file as the server's process, or by
hand: `python -m tests.clickhouse_server --lib L --path DIR --http-port N --tcp-port M`.
"""

import argparse
import ctypes
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
START_SECONDS = 30
STOP_SECONDS = 10
LOG_TAIL_LINES = 20

# The server lives as long as this query: 100 hours, so a forgotten one ends by itself. HTTP opens last:
# when it answers, the native port is open too.
SERVE_SQL = """
    SYSTEM START LISTEN TCP;
    SYSTEM START LISTEN HTTP;
    SELECT sleepEachRow(1) FROM numbers(360000)
    SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, max_execution_time = 0
    FORMAT Null
"""


class ServerFailed(Exception):
    """The server did not come up; the message ends with the tail of its log."""


class ClickHouseServer:
    """One ClickHouse server on 127.0.0.1 over one data folder; ports stay the same over restarts.

    The data outlives stop() and kill(); the process never outlives the test process, nor this object.
    User `default`, no password. Its output is in `server.log` in the data folder.
    """

    def __init__(self, lib: Path, data: Path) -> None:
        """Choose the ports; nothing is started and nothing written yet."""
        self.lib = lib.resolve()
        self.data = data.resolve()
        self.log = self.data / "server.log"
        self.http_port, self.tcp_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel ties the server's life to the thread that started it, not to the process. A test may
        # start it from asyncio.to_thread, whose threads end with the event loop; this one stays.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clickhouse-starter")

    @property
    def dsn(self) -> str:
        """The address as READERSHIP_CLICKHOUSE_DSN wants it."""
        return f"clickhouse://default:@{HOST}:{self.http_port}/default"

    @property
    def pid(self) -> int:
        """The process id. RuntimeError when no server runs."""
        if self._process is None:
            raise RuntimeError("the ClickHouse server is not running")
        return self._process.pid

    @property
    def has_crashed(self) -> bool:
        """It was started, and ended without being told to."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start the server and return when it answers queries: 0.2-1 s with a warm page cache.

        Raises ServerFailed when it ends or stays silent for START_SECONDS; then no process is left.
        """
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError(f"the ClickHouse server already runs, pid {self.pid}")
        self.data.mkdir(parents=True, exist_ok=True)
        self._process = self._starter.submit(self._spawn).result()
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server with SIGTERM and wait for it; does nothing when none runs.

        clickhouse-local does not handle SIGTERM, so this is as sudden as kill(): requests in flight are cut.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL and wait for it; does nothing when none runs."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # -I: the file's own folder stays off sys.path, where a test's name could shadow the standard library.
        command = [sys.executable, "-I", str(Path(__file__).resolve())]
        command += ["--lib", str(self.lib), "--path", str(self.data), "--parent", str(os.getpid())]
        command += ["--http-port", str(self.http_port), "--tcp-port", str(self.tcp_port)]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                # Unknown tables of `default` are looked up as files in the working folder.
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to a whole process group: pytest alone decides when the server ends.
                start_new_session=True,
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise ServerFailed(f"ClickHouse ended, status {process.returncode}:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"ClickHouse is silent after {START_SECONDS} s:\n{self._log_tail()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Whether this server answers, and not another that took the port while it was down."""
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=5)
        try:
            connection.request("POST", "/", body="SELECT path FROM system.disks WHERE name = 'default'")
            answer = connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return Path(os.fsdecode(answer.strip())) == self.data

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, below the range the kernel takes for outgoing connections.

    A port inside that range can be lost while the server is down: to any client's own end, even to a client
    that retries this very port and is connected to itself.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: set[int] = set()
    while len(ports) < count:
        port = 10_000 + secrets.randbelow(max(first_outgoing - 10_000, 1_000))
        if _is_free(port):
            ports.add(port)
    return sorted(ports)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def serve(lib: Path, path: Path, http_port: int, tcp_port: int) -> None:
    """Run the server in this process. Returns only when it failed; ClickHouse has printed why."""
    options = {"path": path, "http_port": http_port, "tcp_port": tcp_port, "listen_host": HOST}
    arguments = ["clickhouse", *(f"--{name}={value}" for name, value in options.items())]
    arguments += ["--output-format=TSV", f"--query={SERVE_SQL}"]
    # DEEPBIND: the library brings its own allocator and C++ runtime, and has to prefer them to the process's.
    engine = ctypes.CDLL(str(lib), mode=os.RTLD_NOW | os.RTLD_DEEPBIND)
    engine.query_stable_v2.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    engine.query_stable_v2.restype = ctypes.c_void_p
    argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
    engine.query_stable_v2(len(arguments), argv)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends: a killed pytest leaves no server behind."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG in linux/prctl.h
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have ended before prctl: then no signal comes any more.
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which wanted this server, is gone")


def main() -> None:
    """Serve until killed; exit 1 when the server ended by itself."""
    parser = argparse.ArgumentParser(description="A ClickHouse server from libchdb.so, on 127.0.0.1.")
    parser.add_argument("--lib", type=Path, required=True, help="libchdb.so")
    parser.add_argument("--path", type=Path, required=True, help="data folder")
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--tcp-port", type=int, required=True)
    parser.add_argument("--parent", type=int, default=os.getppid(), help="the process to end with")
    given = parser.parse_args()
    die_with(given.parent)
    serve(given.lib, given.path, given.http_port, given.tcp_port)
    sys.exit("the ClickHouse server ended by itself")


if __name__ == "__main__":
    main()
