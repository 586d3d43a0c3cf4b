"""`make backfill-…`: what is given as variables reaches `readership synth` as it was given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An installed one whose `readership` prints its arguments, a line each."""
    if shutil.which("make") is None and os.environ.get("CI") != "true":
        pytest.skip("the Makefile's shortcuts were not run: there is no make")
    program = tmp_path / "bin" / "readership"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf '<%s>\\n' \"$@\"\n")
    program.chmod(0o755)
    for stamp in (".python", ".build", ".embedded", ".project"):
        (tmp_path / stamp).touch()
    return tmp_path


def make(environment: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "-C", str(ROOT), f"VENV={environment}", *arguments]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**mine, **variables})


@pytest.mark.parametrize("last", ["1d", "7d", "21d"])
def test_a_shortcut_needs_no_more_than_a_name(last: str, environment: Path) -> None:
    done = make(environment, f"backfill-{last}", "METRIC_NAME=m")
    assert done.stdout.splitlines() == [
        "<synth>", "<--last>", f"<{last}>", "<--metric-name=m>", "<--output-dir=build/backfill>"
    ]  # fmt: skip


def test_all_that_is_given_arrives_quotes_and_blanks_included(environment: Path) -> None:
    given = {
        "LABELS": """a="it's, ok",b=x y;`id`""",
        "STEP_SIZE": "1m",
        "FLAT_BASE": "10",
        "TREND_COEFFICIENT": "-0.5",
        "NOISE_STD": "0",
        "SEED": "7",
        "DESCRIPTION": "what it is",
        "OUTPUT_DIR": "here and there",
    }
    wanted = [f"<--{name.lower().replace('_', '-')}={value}>" for name, value in given.items()]
    written = [f"{name}={value}" for name, value in given.items()]
    done = make(environment, "backfill-7d", "METRIC_NAME=m", "ARGS=--blocks data --load", *written)
    expected = ["<synth>", "<--last>", "<7d>", "<--metric-name=m>", *wanted, "<--blocks>", "<data>", "<--load>"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_of_the_environment_only_the_name_and_the_labels_count(environment: Path) -> None:
    others = {"SEED": "7", "DESCRIPTION": "a machine", "OUTPUT_DIR": "elsewhere", "NOISE_STD": "0", "STEP_SIZE": "1m"}
    done = make(environment, "backfill-7d", METRIC_NAME="m", LABELS="a=b", **others)
    expected = ["<synth>", "<--last>", "<7d>", "<--metric-name=m>", "<--labels=a=b>", "<--output-dir=build/backfill>"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_without_a_name_it_says_what_is_missing(environment: Path) -> None:
    done = make(environment, "backfill-1d")
    assert done.returncode == 2
    assert "the name is missing" in done.stderr


def test_help_lists_every_target(environment: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    [phony] = [line for line in makefile.replace("\\\n", "").splitlines() if line.startswith(".PHONY:")]
    listed = [line.split()[0] for line in make(environment, "help").stdout.splitlines()]
    assert sorted(listed) == sorted(phony.split()[1:])
