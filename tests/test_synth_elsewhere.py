"""`readership synth` into blocks and by remote write, where what takes it fails, refuses or is away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from service.cli.client import NoService, RefusedByService
from service.cli.remote_writing import Target, target, write_remotely
from service.remote_write.codec import Series, decode
from service.synth.made import Made
from service.synth.shapes import Grid, Shape
from tests.process import MAIN

BEARER = "s3cret-word"
MADE = Made("m", {"z": "1", "a": "2", "none": ""}, "", Shape(), Grid(0, 5_000 * 60, 60))
DROPPED = 0
"""The answer of a connection that is cut."""


class Receiver:
    """Answers as told, one answer after the other, and 204 from then on; keeps what it got."""

    def __init__(self, *answers: tuple[int, dict[str, str], str]) -> None:
        self.answers = [*answers]
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.url = ""

    def series(self) -> list[Series]:
        return [series for body in self.bodies for series in decode(body, 2**20).series]


@contextmanager
def receiving(*answers: tuple[int, dict[str, str], str]) -> Iterator[Receiver]:
    receiver = Receiver(*answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.times.append(time.monotonic())
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, text = receiver.answers.pop(0) if receiver.answers else (204, {}, "")
            if status == DROPPED:
                self.close_connection = True
                return
            if status < 300:
                receiver.bodies.append(body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/api/v1/write"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def push(url: str, token: str = "", patience: float = 60) -> list[str]:
    """What it had to wait for."""
    waited: list[str] = []
    await write_remotely(MADE, Target(httpx.URL(url), token, patience), lambda _: None, waited.append)
    return waited


async def test_batches_are_bounded_in_order_and_their_labels_sorted() -> None:
    with receiving() as receiver:
        assert await push(receiver.url) == []
    series = receiver.series()
    assert [len(one.samples) for one in series] == [2_000, 2_000, 1_000]
    assert [at for one in series for at, _ in one.samples] == [1_000 * at for at in range(0, 300_000, 60)]
    assert [one.labels for one in series] == [[("__name__", "m"), ("a", "2"), ("z", "1")]] * 3
    assert {
        "content-encoding": "snappy",
        "content-type": "application/x-protobuf",
        "x-prometheus-remote-write-version": "0.1.0",
    }.items() <= receiver.headers[0].items()
    assert "authorization" not in receiver.headers[0]


async def test_what_fails_for_now_is_tried_again_and_arrives_once() -> None:
    answers = [(503, {}, "busy"), (DROPPED, {}, ""), (429, {"Retry-After": "2"}, "slow down")]
    with receiving(*answers) as receiver:
        waited = await push(receiver.url)
    assert sum(len(one.samples) for one in receiver.series()) == 5_000
    assert [waited[0], waited[2]] == ["503 busy", "429 slow down"]
    assert "disconnected" in waited[1]
    pauses = [after - before for before, after in zip(receiver.times[:3], receiver.times[1:4], strict=True)]
    assert pauses[0] >= 1
    assert pauses[1] >= 2, "each time it waits longer"
    assert pauses[2] >= 2


@pytest.mark.parametrize("answers", [[(500, {}, "away")], [(503, {"Retry-After": "3600"}, "away")], None])
async def test_it_gives_up_when_its_patience_is_over(answers: list[tuple[int, dict[str, str], str]] | None) -> None:
    with receiving(*(answers or [])) as receiver:
        pass
    if answers is None:  # nothing listens there any more
        with pytest.raises(NoService, match="took no samples for 0 seconds"):
            await push(receiver.url, patience=0)
        return
    with receiving(*answers) as receiver, pytest.raises(NoService, match=r"took no samples for 0 seconds: 50. away"):
        await push(receiver.url, patience=0.5)


@pytest.mark.parametrize("status", [400, 401, 404, 302])
async def test_a_refusal_is_told_with_the_servers_words_and_without_the_token(status: int) -> None:
    said = f"out of bounds,\n you are Bearer {BEARER}"
    with receiving((204, {}, ""), (status, {"Location": "/"}, said)) as receiver:
        with pytest.raises(RefusedByService) as refused:
            await push(f"{receiver.url}?key=1", BEARER)
        assert str(refused.value) == f"{receiver.url} refused samples: {status} out of bounds, you are Bearer …"
    assert len(receiver.times) == 2
    assert receiver.headers[0]["authorization"] == f"Bearer {BEARER}"


@pytest.mark.parametrize("url", ["localhost:9090", "ftp://x/", "http://", "/api/v1/write"])
def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        target(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="READERSHIP_REMOTE_WRITE_TOKEN") as refused:
        target("http://user:hunter2@localhost/")
    assert "hunter2" not in str(refused.value)


def run(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            MAIN,
            "synth",
            "--metric-name",
            "m",
            "--start-epoch",
            "0",
            "--end-epoch",
            "900",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def test_the_command_pushes_with_the_token_of_the_environment_and_writes_no_file(tmp_path: Path) -> None:
    with receiving() as receiver:
        done = run(tmp_path, "--remote-write", receiver.url, READERSHIP_REMOTE_WRITE_TOKEN=BEARER)
        assert (done.returncode, done.stdout) == (0, f"3 samples of m to {receiver.url}\n")
        assert receiver.headers[0]["authorization"] == f"Bearer {BEARER}"
        assert not [*tmp_path.iterdir()]
        both = run(tmp_path, "--remote-write", receiver.url, "--output-dir", "out", "--json")
        assert both.returncode == 0, both.stderr
        assert (tmp_path / "out" / "m_backfill_0.txt").is_file()
        wrong = run(tmp_path, "--remote-write", receiver.url, READERSHIP_REMOTE_WRITE_TOKEN=f"{BEARER} \n{BEARER}")
    assert wrong.returncode == 2
    assert wrong.stderr == "readership: READERSHIP_REMOTE_WRITE_TOKEN holds characters that no token has\n"
    assert len(receiver.times) == 2


def test_blocks_need_promtool_and_say_which_package_has_it(tmp_path: Path) -> None:
    done = run(tmp_path, "--blocks", "data", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "promtool, and it is not in PATH: Debian and Ubuntu have it in the package prometheus" in done.stderr
    assert not [*tmp_path.iterdir()]


def promtool(folder: Path, script: str) -> str:
    """A PATH with a promtool that does as it says, after it made a block."""
    program = folder / "bin" / "promtool"
    program.parent.mkdir()
    # The last of its arguments is the folder of the blocks.
    program.write_text(f'#!/bin/sh\nfor last; do :; done\nmkdir -p "$last/01ABC"\n{script}\n')
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def test_an_error_of_promtool_is_shown_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = promtool(tmp_path, "echo 'bad block' >&2; echo 'no space left' >&2; exit 3")
    (tmp_path / "data").mkdir()
    done = run(tmp_path, "--blocks", "data", PATH=path)
    assert done.returncode == 1
    assert "readership: promtool failed, status 3: bad block no space left\n" in done.stderr
    assert not [*(tmp_path / "data").iterdir()]


def test_where_one_block_cannot_come_to_its_place_none_does(tmp_path: Path) -> None:
    path = promtool(tmp_path, 'mkdir "$last/01ABB" "$last/01ABD"')
    (tmp_path / "data" / "01ABC" / "another").mkdir(parents=True)
    done = run(tmp_path, "--blocks", "data", PATH=path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [str(one.relative_to(tmp_path / "data")) for one in (tmp_path / "data").rglob("*")] == [
        "01ABC",
        "01ABC/another",
    ]


def test_a_command_that_is_ended_takes_its_temporary_files_along(tmp_path: Path) -> None:
    path = promtool(tmp_path, "touch made; exec sleep 600")
    command = [sys.executable, "-c", MAIN, "synth", "--metric-name", "m", "--last", "1d", "--blocks", "data"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "made").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [*(tmp_path / "data").iterdir()]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
    assert not [*(tmp_path / "data").iterdir()]
