"""A real Prometheus for the tests: the one in PATH, or Debian's package, fetched once and unpacked without root.

`python -m tests.prometheus` prints the folder of its programs; without one it prints a single line with the reason and
exits 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from tests.clickhouse_server import HOST, free_ports

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "prometheus"
PROGRAMS = ("prometheus", "promtool")

_DOWNLOAD_SECONDS = 300  # 19 MB
_START_SECONDS = 60


class PrometheusUnavailable(Exception):
    """There is no Prometheus on this machine; the message is one line that says why."""


def find_prometheus() -> Path:
    """The folder of both programs. Raises PrometheusUnavailable."""
    found = [shutil.which(program) for program in PROGRAMS]
    if all(found):
        return Path(str(found[0])).parent
    if not all((CACHE / program).is_file() for program in PROGRAMS):
        _download()
    return CACHE


def prometheus_or_skip() -> Path:
    """What `find_prometheus` finds; without one the test is skipped with one line, in CI it fails."""
    try:
        return find_prometheus()
    except PrometheusUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no test with a real Prometheus: {error}")


def _download() -> None:
    """Puts the programs into the cache, each as a whole."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise PrometheusUnavailable(
                f"neither prometheus and promtool are in PATH, nor {program} to fetch them with"
            )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=CACHE) as name:
        folder = Path(name)
        package = _package(folder)
        _run("dpkg-deb", "--extract", str(package), str(folder / "package"), cwd=folder)
        for program in PROGRAMS:
            os.replace(folder / "package" / "usr" / "bin" / program, CACHE / program)


def _package(folder: Path) -> Path:
    """Debian's package, checked by apt; with lists of our own where the machine's are empty or old."""
    own = [option for name in ("State", "Cache") for option in ("-o", f"Dir::{name}={folder / name}")]
    own += ["-o", "Dir::State::status=/dev/null"]
    for part in ("State/lists/partial", "Cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    try:
        _run("apt-get", "--quiet", "download", "prometheus", cwd=folder)
    except PrometheusUnavailable:
        _run("apt-get", *own, "--quiet", "update", cwd=folder)
        _run("apt-get", *own, "--quiet", "download", "prometheus", cwd=folder)
    return next(folder.glob("prometheus_*.deb"))


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PrometheusUnavailable(f"{command[0]} did not fetch Debian's package prometheus: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PrometheusUnavailable(f"{command[0]} did not fetch Debian's package prometheus: {said}")


class Prometheus:
    """One on 127.0.0.1 over one data folder; it keeps samples of any age, and takes remote write.

    `ADDRESS` in its configuration stands for where it listens.
    """

    def __init__(self, programs: Path, data: Path, config: str = "global: {}\n") -> None:
        self._program = programs / "prometheus"
        self._data = data
        self._config = data.with_suffix(".yml")
        self._log = data.with_suffix(".log")
        (port,) = free_ports(1)
        self.address = f"{HOST}:{port}"
        self.url = f"http://{self.address}"
        self._config.write_text(config.replace("ADDRESS", self.address))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Returns when it answers."""
        self._data.mkdir(exist_ok=True)
        command = [str(self._program), f"--config.file={self._config}", f"--storage.tsdb.path={self._data}"]
        command += [f"--web.listen-address={self.address}", "--storage.tsdb.retention.time=100y"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--web.enable-remote-write-receiver"], stdout=log, stderr=log, cwd=self._data.parent
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/-/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError(f"Prometheus did not start:\n{self._log.read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """At once: told to end it would send what it has not sent yet, to a service that this test's loop may be."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def get(self, page: str, **asked: str | float) -> list[dict[str, Any]]:
        """The `result` of /api/v1/<page>."""
        answer = httpx.get(f"{self.url}/api/v1/{page}", params=asked, timeout=30).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def samples(self, selector: str, until: int) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Of each series its labels and all of its samples, (epoch seconds, value), as they are stored."""
        return [
            (one["metric"], [(instant, float(value)) for instant, value in one["values"]])
            for one in self.get("query", query=f"{selector}[10y]", time=until)
        ]


def main() -> int:
    """Print the folder and answer 0, or print the one reason to stderr and answer 1."""
    try:
        sys.stdout.write(f"{find_prometheus()}\n")
    except PrometheusUnavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
