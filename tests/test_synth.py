"""`readership synth`: the numbers of the script it replaces, in UTC wherever it runs, and a file that parsers take."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics import parser

from service.samples import openmetrics
from service.samples.labels import WrongLabels, parse_labels
from service.synth.series import samples
from service.synth.shapes import Grid, Shape
from tests.process import MAIN

# 2023-12-17T08:00Z, and two weeks of it.
START = 1_702_800_000
FORTNIGHT = Grid(START, START + 14 * 86_400, 300)

# It has no types.
parsed = cast("Callable[[str], Iterable[Metric]]", parser.text_string_to_metric_families)

KNOTS = [1.0, 10.8, 18.1, 19.5, 17.6, 15.8, 14.1, 12.8, 10.3, 8.7, 3.6, 1.8]


def slope(knot: int) -> float:
    """Per two hours."""
    before = KNOTS[knot] - KNOTS[knot - 1]
    after = KNOTS[(knot + 1) % 12] - KNOTS[knot]
    return 0.0 if before * after <= 0 else 2 / (1 / before + 1 / after)


def season(instant: int) -> float:
    knot, within = divmod(instant % 86_400, 7_200)
    t, following = within / 7_200, (knot + 1) % 12
    rise = KNOTS[following] - KNOTS[knot]
    c2 = 3 * rise - 2 * slope(knot) - slope(following)
    c3 = -2 * rise + slope(knot) + slope(following)
    return KNOTS[knot] + t * (slope(knot) + t * (c2 + t * c3))


def expected(grid: Grid, shape: Shape) -> list[float]:
    noise = np.random.RandomState(shape.seed).normal(0, shape.noise, len(grid)).tolist()
    instants = [grid.start + number * grid.step for number in range(len(grid))]
    return [
        shape.base + shape.trend * (instant - grid.start) / 3_600 + season(instant) + wobble
        for instant, wobble in zip(instants, noise, strict=True)
    ]


def made(grid: Grid, shape: Shape) -> list[float]:
    return [value for _, values in samples(shape, grid) for value in values.tolist()]


def close(found: list[float], wanted: list[float]) -> bool:
    assert len(found) == len(wanted)
    return all(math.isclose(one, other, rel_tol=0, abs_tol=1e-12) for one, other in zip(found, wanted, strict=True))


def test_the_first_values_are_those_of_the_script_it_replaces() -> None:
    assert close(made(FORTNIGHT, Shape(noise=0))[:3], [22.6, 22.53138614060489, 22.462932754182756])
    noise = [1.49014246, -0.4147929, 1.94306561]
    quiet, loud = made(FORTNIGHT, Shape(noise=0)), made(FORTNIGHT, Shape())
    assert [round(one - other, 8) for one, other in zip(loud[:3], quiet[:3], strict=True)] == noise


@pytest.mark.parametrize("shape", [Shape(noise=0), Shape(), Shape(-2.5, 100.0, 0.25, 7), Shape(0, 0, 1, 0)])
@pytest.mark.parametrize("step", [1, 77, 300, 3_600, 86_400])
def test_every_value_is_trend_and_season_and_noise(shape: Shape, step: int) -> None:
    grid = Grid(START - 4_321, START + 90_000 * step // 60, step)
    assert close(made(grid, shape), expected(grid, shape))


def test_a_series_made_in_pieces_has_no_seams() -> None:
    assert close(made(Grid(START, START + 150_000, 1), Shape()), expected(Grid(START, START + 150_000, 1), Shape()))


def test_the_end_is_excluded_and_a_part_of_a_step_is_dropped() -> None:
    assert [len(Grid(0, end, 300)) for end in (299, 300, 600, 720, 899)] == [0, 1, 2, 2, 2]


def test_label_names_become_those_that_prometheus_takes() -> None:
    found = parse_labels("""user=1, test-label=a=b,123metric="x, \\"y\\"\\n\\\\",été=""")
    assert found.values == {"user": "1", "test_label": "a=b", "_123metric": 'x, "y"\n\\', "_t_": ""}
    assert found.changed == [("test-label", "test_label"), ("123metric", "_123metric"), ("été", "_t_")]
    assert parse_labels("").values == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a-b=1,a_b=2", "'a-b' and 'a_b' would both be the label a_b"),
        ("a=1,a=2", "both be the label a"),
        ("novalue", "'novalue' is no label"),
        ("a=1,,b=2", "',b=2' is no label"),
        ('a="1', "is no label"),
        ('a="1"2', "is no label"),
        ("=x", "needs a name"),
        ("__name__=x", "not a label"),
    ],
)
def test_labels_that_cannot_be_kept_are_named(text: str, reason: str) -> None:
    with pytest.raises(WrongLabels, match=reason):
        parse_labels(text)


# The parser of the reference client takes what Prometheus takes, and no NUL or half of a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(TEXT, st.dictionaries(st.from_regex(r"[a-z_][a-z0-9]{0,5}", fullmatch=True), TEXT, max_size=4), TEXT)
def test_a_file_is_read_back_by_the_reference_parser(value: str, labels: dict[str, str], description: str) -> None:
    labels["last"] = value
    text = openmetrics.head("m", description) + openmetrics.lines("m", labels, [(1, 0.1), (61, -2e300)])
    [family] = parsed(text + openmetrics.EOF_LINE)
    # That parser passes over blanks before a description.
    assert (family.name, family.documentation, family.type) == ("m", description.lstrip(" "), "gauge")
    assert [(one.labels, one.value, float(one.timestamp or 0)) for one in family.samples] == [
        (labels, 0.1, 1.0),
        (labels, -2e300, 61.0),
    ]


def run(folder: Path, *arguments: str, zone: str = "UTC") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, "synth", "--output-dir", str(folder), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": zone, "COLUMNS": "200"}
    )


def test_the_command_writes_the_same_file_in_every_zone(tmp_path: Path) -> None:
    asked = ("--metric-name", "vpn:tunnels", "--labels", "dev-ice=a", "--start", "2025-03-30", "--end", "2025-03-31")
    files = []
    for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
        done = run(tmp_path / zone, *asked, "--description", 'said "so"', zone=zone)
        assert done.returncode == 0, done.stderr
        assert "warning: label 'dev-ice' is written as dev_ice" in done.stderr
        files.append((tmp_path / zone / "vpn:tunnels_backfill_1743292800.txt").read_text())
    assert files[0] == files[1] == files[2]
    assert files[0].endswith("\n# EOF\n")
    [family] = parsed(files[0])
    found = [float(one.value) for one in family.samples]
    assert close(found, expected(Grid(1_743_292_800, 1_743_292_800 + 2 * 86_400, 300), Shape()))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--last", "1w"], "--last"),
        (["--last", "0d"], "--last"),
        (["--last", "1d", "--step-size", "1.5h"], "--step-size"),
        (["--last", "1d", "--step-size", "-5"], "--step-size"),
        (["--last", "1d", "--step-size", "0"], "--step-size"),
        (["--last", "1d", "--step-size", "2d"], "no sample fits"),
        (["--last", "1d", "--labels", "a"], "--labels"),
        (["--last", "1d", "--metric-name", "1m"], "--metric-name"),
        (["--last", "1d", "--noise-std", "-1"], "--noise-std"),
        (["--last", "1d", "--noise-std", "nan"], "--noise-std"),
        (["--last", "1d", "--flat-base", "inf"], "--flat-base"),
        (["--last", "1d", "--flat-base", "nan"], "--flat-base"),
        (["--last", "1d", "--trend-coefficient", "-inf"], "--trend-coefficient"),
        # As bytes that are no UTF-8 arrive.
        (["--last", "1d", "--labels", "k=\udcff"], "--labels"),
        (["--last", "1d", "--labels", "\udcff"], "--labels"),
        (["--last", "1d", "--description", "\udcff"], "--description"),
        (["--last", "1d", "--load", "--site", "\udcff"], "--site"),
        (["--last", "1d", "--metric-name", "\udcff"], "--metric-name"),
        (["--start", "\udcff"], "--start"),
        (["--last", "1d", "--remote-write", "http://\udcff/"], "--remote-write"),
        (["--start-epoch", "10", "--end-epoch", "10"], "the start, 10, "),
        (["--start", "2025-13-01"], "--start"),
        (["--start", "2025-01-01", "--last", "1d"], "one of --start-epoch, --start and --last"),
        ([], "one of --start-epoch, --start and --last"),
    ],
)
def test_wrong_usage_is_named_and_writes_nothing(arguments: list[str], named: str, tmp_path: Path) -> None:
    done = run(tmp_path / "out", "--metric-name", "m", *arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    done = run(tmp_path / "\udcff", "--metric-name", "m", "--last", "1d")
    assert done.returncode == 0, done.stderr
    assert [one.name[:11] for one in (tmp_path / "\udcff").iterdir()] == ["m_backfill_"]
