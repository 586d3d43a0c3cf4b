"""`readership synth --load`: what was made up is stored, once, and what cannot be is told."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from clickhouse.statement import Statement
from service.state import State
from service.synth.series import samples
from service.synth.shapes import Grid, Shape
from tests.process import MAIN
from tests.service import Service, listening
from tests.stand_in import Answer, stand_in

# Three days, every 30 seconds: two requests.
GRID = Grid(1_702_800_000, 1_702_800_000 + 3 * 86_400, 30)
ASKED = ("--metric-name", "m", "--end-epoch", str(GRID.end), "--step-size", "30s", "--labels", 'a="x, \\"y\\"",none=""')


async def synth(url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, "synth", *ASKED, "--load", "--url", url, *arguments]
    return await asyncio.to_thread(
        lambda: subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "COLUMNS": "200"}
        )
    )


async def test_a_series_is_loaded_once_and_no_file_is_written(service: Service, site: str, tmp_path: Path) -> None:
    start = ("--start-epoch", str(GRID.start), "--site", site)
    async with listening(service) as url:
        done = await synth(url, tmp_path, *start)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"8,640 samples of m in site {site}\n"
        again = await synth(url, tmp_path, *start, "--json")
    loaded = {"accepted": 0, "duplicates": 8_640, "rejected": 0, "first_reason": ""}
    assert json.loads(again.stdout)["load"] == loaded
    assert not await asyncio.to_thread(os.listdir, tmp_path)
    state: State = service.app.state.readership
    sql = "SELECT metric, labels, toUnixTimestamp64Milli(at), value FROM samples WHERE site = {site:String} ORDER BY at"
    assert await state.engine.select(Statement(sql, {"site": site})) == [
        ("m", '{"a":"x, \\"y\\""}', 1_000 * at, value)
        for instants, values in samples(Shape(), GRID)
        for at, value in zip(instants.tolist(), values.tolist(), strict=True)
    ]


async def test_samples_that_are_refused_are_told_and_the_others_loaded(
    service: Service, site: str, tmp_path: Path
) -> None:
    millennium = 946_684_800
    whole = ("--end-epoch", str(millennium + 60), "--site", site)
    async with listening(service) as url:
        done = await synth(url, tmp_path, "--start-epoch", str(millennium - 90), *whole)
        assert (done.returncode, done.stdout) == (1, f"2 samples of m in site {site}\n")
        assert "readership: 3 samples were rejected, the first: at must lie between 2000-01-01" in done.stderr
        none = await synth(url, tmp_path, "--start-epoch", "0", "--end-epoch", "900", "--site", site)
        assert none.returncode == 1
        assert "readership: 30 samples were rejected, the first: at must lie between" in none.stderr
        wrong = await synth(url, tmp_path, "--start-epoch", str(millennium), *whole[:2], "--site", "a\nb")
    assert wrong.returncode == 1
    assert "site must not hold control characters" in wrong.stderr


def lines(body: bytes) -> int:
    return body.count(b"\n")


async def test_what_waits_in_the_spool_is_sent_again_until_it_is_stored(tmp_path: Path) -> None:
    """Each request is answered as by a service that cannot reach ClickHouse, and when it came again, as by one that
    has stored it."""
    taken: list[bytes] = []

    def slowly(_: str, __: Mapping[str, str], body: bytes) -> Answer:
        again = taken[-1:] == [body]
        taken.append(body)
        told = {"accepted": 0 if again else lines(body), "duplicates": lines(body) if again else 0, "rejected": []}
        return 202, {}, json.dumps({**told, "stored": again}).encode()

    with stand_in(slowly) as url:
        done = await synth(url, tmp_path, "--start-epoch", str(GRID.start))
    assert (done.returncode, done.stdout) == (0, "8,640 samples of m in site default\n")
    assert [*map(lines, taken)] == [5_000, 5_000, 3_640, 3_640]
    assert taken[::2] == taken[1::2]


async def test_requests_of_long_labels_are_no_larger_than_a_body_may_be(
    service: Service, site: str, tmp_path: Path
) -> None:
    long = ("--labels", ",".join(f"l{number}={'ё' * 500}" for number in range(5)), "--site", site)
    async with listening(service) as url:
        done = await synth(url, tmp_path, "--start-epoch", str(GRID.end - 2_400 * 30), *long)
    assert (done.returncode, done.stdout) == (0, f"2,400 samples of m in site {site}\n"), done.stderr
