"""`readership synth` and a real Prometheus: what was made up is what it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.synth.series import samples
from service.synth.shapes import Grid, Shape
from tests.process import MAIN
from tests.prometheus import Prometheus, prometheus_or_skip

# Three weeks, every five minutes.
GRID = Grid(1_702_800_000, 1_702_800_000 + 21 * 86_400, 300)
LABELS = """device=edge-1,note="a, b \\"c\\"\\nd\\\\ é",empty="" """
KEPT = {"device": "edge-1", "note": 'a, b "c"\nd\\ é'}
ASKED = ("--start-epoch", str(GRID.start), "--end-epoch", str(GRID.end), "--labels", LABELS)


@pytest.fixture(scope="module")
def programs() -> Path:
    return prometheus_or_skip()


def synth(programs: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, "synth", *ASKED, *arguments]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path, **environment}
    )


def made_up() -> list[tuple[float, float]]:
    return [
        (instant, value)
        for instants, values in samples(Shape(), GRID)
        for instant, value in zip(instants.tolist(), values.tolist(), strict=True)
    ]


def test_blocks_are_served_and_query_back_equal(programs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = synth(programs, "--metric-name", "m", "--blocks", str(data))
    assert done.returncode == 0, done.stderr
    assert all(len(block.name) == 26 and (block / "index").is_file() for block in data.iterdir()), "blocks and no rest"
    assert done.stdout == f"6,048 samples of m in {len([*data.iterdir()])} blocks in {data}\n"
    with Prometheus(programs, data) as prometheus:
        assert prometheus.samples("m", GRID.end) == [({"__name__": "m", **KEPT}, made_up())]


def test_what_is_pushed_by_remote_write_queries_back_equal(programs: Path, tmp_path: Path) -> None:
    with Prometheus(programs, tmp_path / "data") as prometheus:
        to = ("--remote-write", f"{prometheus.url}/api/v1/write")
        done = synth(programs, "--metric-name", "m", *to)
        assert done.returncode == 0, done.stderr
        assert prometheus.samples("m", GRID.end) == [({"__name__": "m", **KEPT}, made_up())]
        # Its head is three weeks further: what lies before is too old for it.
        again = synth(programs, "--metric-name", "older", *to)
    assert again.returncode == 1
    assert f"{prometheus.url}/api/v1/write refused samples: 400 out of bounds" in again.stderr
