"""The README tells the truth: its commands are run, its settings and metrics are all there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from service.settings import Settings
from tests.process import ServiceProcess
from tests.readme import (
    LOG,
    README,
    link_log,
    metrics_table,
    run_blocks,
    settings_table,
    settled,
    written_metrics_table,
    written_settings_table,
)


def test_commands_print_what_the_readme_says(tmp_path: Path) -> None:
    if shutil.which("curl") is None and os.environ.get("CI") != "true":
        pytest.skip("the README's commands were not run: there is no curl")
    link_log(tmp_path)
    with ServiceProcess(tmp_path / "data") as service:
        now = run_blocks(README.read_text(), service, with_log=LOG.exists())
    assert settled(now) == settled(README.read_text()), "run `make readme` and look at the difference"
    if not LOG.exists():
        pytest.skip(f"the blocks about {LOG.name} were not run: it is not here")


def test_every_setting_stands_in_the_table() -> None:
    assert written_settings_table(README.read_text()) == settings_table()
    assert all(field.description for field in Settings.model_fields.values())


def test_every_metric_stands_in_the_table() -> None:
    assert written_metrics_table(README.read_text()) == metrics_table(), "run `make readme`"


def test_every_path_the_readme_names_exists() -> None:
    text = README.read_text()
    named = set(re.findall(r"(?:docs/decisions|requirements|tests|clickhouse|service|workers|bench)/[\w/.-]*\w", text))
    assert named
    missing = [path for path in named if not (README.parent / path).exists()]
    assert not missing
