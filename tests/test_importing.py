"""`readership import` as operators use it: killed and continued, done twice, undone; counted against what the files
hold."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.conftest import NewDsn
from tests.process import ServiceProcess

HEADER = ("blog_id", "viewed_at", "country", "viewer_id")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def served(new_dsn: NewDsn, engine_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Over the server under test; embedded, on a folder of its own."""
    more = {} if engine_name == "embedded" else {"READERSHIP_CLICKHOUSE_DSN": new_dsn()}
    with ServiceProcess(tmp_path_factory.mktemp("importing") / "data", **more) as service:
        yield service


def make_rows(count: int, seed: int) -> list[tuple[str, ...]]:
    """Some of them alike."""
    chance = Random(seed)
    return [
        (f"blog-{chance.randrange(40)}", f"2024-0{chance.randint(1, 2)}-01T00:00:{n % 60:02}Z", "ET", f"v{n % 7}")
        for n in range(count)
    ]


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def write_ndjson(path: Path, rows: list[tuple[str, ...]]) -> Path:
    path.write_text("".join(f"{json.dumps(dict(zip(HEADER, row, strict=True)))}\n" for row in rows))
    return path


def views(service: ServiceProcess, site: str) -> Counter[str]:
    response = httpx.get(
        f"{service.url}/api/analytics/blog-views/blog", params={"site": site, "page_size": 1000}, timeout=60
    )
    assert response.status_code == 200, response.text
    return Counter({row["id"]: row["z"] for row in response.json()["results"]})


def launch(service: ServiceProcess, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", service.main, "import", "--json", *arguments],
        env=service.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )


def _heed_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so does all that starts from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def entry(service: ServiceProcess, site: str) -> Json | None:
    """The newest import of the site."""
    found = httpx.get(f"{service.url}/api/imports", params={"site": site}, timeout=60).json()["results"]
    return found[0] if found else None


def until(happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def done(service: ServiceProcess, *arguments: str) -> Json:
    result = service.cli("import", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    found: Json = json.loads(result.stdout)
    return found


# Of the file whose import is killed twice.
ROWS = 200_000


def test_an_import_killed_in_the_middle_continues_and_counts_everything_once(
    served: ServiceProcess, site: str, tmp_path: Path
) -> None:
    # A kill leaves up to eight requests of 5,000 under way: two of them must not be able to finish it.
    rows = make_rows(ROWS, seed=1)
    path = write_ndjson(tmp_path / "views.ndjson", rows)
    for _ in range(2):
        before = (entry(served, site) or {"run": 0})["run"]
        importing = launch(served, "--site", site, str(path))
        until(lambda before=before: (entry(served, site) or {"run": 0})["run"] > before)  # type: ignore[misc]
        held = sum(views(served, site).values())
        until(lambda held=held: sum(views(served, site).values()) > held)  # type: ignore[misc]
        importing.send_signal(signal.SIGKILL)
        importing.communicate()
    assert 0 < sum(views(served, site).values()) < ROWS, "it was killed too late: the test shows nothing"
    report = done(served, "--site", site, str(path))
    assert (report["lines"], report["events"], report["accepted"], report["duplicates"]) == (ROWS, ROWS, ROWS, 0)
    assert views(served, site) == Counter(row[0] for row in rows)
    again = done(served, "--site", site, str(path))
    assert (again["accepted"], again["duplicates"], again["imports"][0]["known"]) == (0, ROWS, True)


def test_a_service_killed_in_the_middle_is_waited_for(tmp_path: Path) -> None:
    rows = make_rows(60_000, seed=2)
    path = write_csv(tmp_path / "views.csv", rows)
    with ServiceProcess(tmp_path / "data") as service:
        importing = launch(service, "--site", "s", str(path))
        until(lambda: sum(views(service, "s").values()) > 0)
        service.kill()
        service.start()
        out, err = importing.communicate(timeout=120)
        assert importing.returncode == 0, err
        assert (json.loads(out)["accepted"], json.loads(out)["duplicates"]) == (60_000, 0)
        assert views(service, "s") == Counter(row[0] for row in rows)


def test_two_files_that_overlap_count_what_they_share_once_and_undo_takes_back_its_own(
    served: ServiceProcess, site: str, tmp_path: Path
) -> None:
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(300)]
    lines = [
        json.dumps({"blog_id": f"b{n % 3}", "event_id": id_, "viewed_at": 1_700_000_000_000 + n})
        for n, id_ in enumerate(ids)
    ]
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    first.write_text("\n".join(lines[:200]))
    second.write_text("\n".join(lines[100:]))
    report = done(served, "--site", site, str(first), str(second))
    assert (report["accepted"], report["duplicates"]) == (300, 100)
    assert sum(views(served, site).values()) == 300
    mine, other = report["imports"]
    assert "is undone" in served.cli("import", "--undo", str(mine["id"]), "--yes").stdout
    assert sum(views(served, site).values()) == 100
    assert done(served, "--site", site, str(first))["accepted"] == 200
    assert views(served, site) == {"b0": 100, "b1": 100, "b2": 100}
    listed = {one["id"]: one for one in json.loads(served.cli("import", "--list", "--json").stdout)}
    assert (listed[mine["id"]]["status"], listed[other["id"]]["status"]) == ("undone", "done")
    assert "first.ndjson" in served.cli("import", "--list").stdout


def test_an_undo_while_events_come_in_takes_nothing_of_theirs(
    served: ServiceProcess, site: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "views.csv", make_rows(3_000, seed=3))
    report = done(served, "--site", site, str(path))
    live = 0
    with httpx.Client(base_url=served.url, timeout=60) as client:
        id_ = report["imports"][0]["id"]
        assert client.delete(f"/api/imports/{id_}").status_code == 202
        while client.get(f"/api/imports/{id_}").json()["status"] != "undone":
            event = {"blog_id": "live", "site": site, "viewed_at": "2024-01-01T00:00:00Z"}
            assert client.post("/api/events?wait=stored", json=event).json()["accepted"] == 1
            live += 1
    assert live
    assert views(served, site) == {"live": live}
    again = done(served, "--site", site, str(path))
    assert (again["accepted"], again["duplicates"]) == (3_000, 0)
    assert sum(views(served, site).values()) == 3_000 + live


def test_ctrl_c_says_how_to_continue(served: ServiceProcess, site: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "views.csv", make_rows(20_000, seed=4))
    importing = launch(served, "--site", site, str(path))
    until(lambda: entry(served, site) is not None)
    os.kill(importing.pid, signal.SIGINT)
    _, err = importing.communicate(timeout=60)
    assert (importing.returncode, "the same command continues import" in err) == (1, True), err
    assert "Traceback" not in err
    assert done(served, "--site", site, str(path))["accepted"] == 20_000


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("{folder}",), 2, "is a directory"),
        (("{folder}/x.txt",), 2, "the extension of x.txt"),
        ((), 2, "give files"),
        (("--list", "--undo", "1"), 2, "give files"),
        (("--undo", "0"), 2, "--undo"),
        (("--undo", "4000000000"), 2, "there is no import 4000000000"),
        (("--columns", "blog_id", "{folder}/x.csv"), 2, "FIELD=COLUMN"),
        (("--columns", "page=x", "{folder}/x.csv"), 2, "a FIELD of blog_id"),
        (("--columns", "blog_id=x", "--format", "ndjson", "{folder}/x.csv"), 2, "only CSV and Parquet"),
        (("--delimiter", ";;", "{folder}/x.csv"), 2, "one ASCII character"),
        (("--columns", "blog_id=nothing", "{folder}/x.csv"), 1, "x.csv: there is no column 'nothing' for blog_id"),
    ],
)
def test_wrong_use_of_import_ends_in_a_clear_line(
    served: ServiceProcess, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    for name in ("x.txt", "x.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    result = served.cli("import", *(argument.format(folder=tmp_path) for argument in arguments))
    assert result.returncode == status, result.stderr
    assert words in result.stderr.splitlines()[-1]
    assert status == 1 or result.stderr.count("\n") == 1, result.stderr
