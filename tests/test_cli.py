"""The command line as operators use it: a real log in, numbers out, one line when something is wrong."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from crawlerdetect import CrawlerDetect

from tests.conftest import SHARED
from tests.process import ServiceProcess

LOG = SHARED / "data" / "semicomplete_access.log"
IMPORT = ("import", "--format", "combined", "--site", "semicomplete.com", "--match", "^/blog/")

# Two lines a page, an asset, a crawler, a redirect, a cut line: what real logs hold.
SMALL_LOG = """\
10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /blog/a?x=1 HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11) Firefox/9"
10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /blog/a?x=1 HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11) Firefox/9"
10.0.0.2 - - [17/May/2015:23:59:59 -0200] "GET /blog/b HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11) Firefox/9"
10.0.0.3 - - [17/May/2015:10:05:04 +0000] "GET /style.css HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11) Firefox/9"
10.0.0.4 - - [17/May/2015:10:05:05 +0000] "GET /blog/b HTTP/1.1" 200 5 "-" "Googlebot/2.1"
10.0.0.5 - - [17/May/2015:10:05:06 +0000] "GET /blog/b HTTP/1.1" 301 5 "-" "Mozilla/5.0 (X11) Firefox/9"
10.0.0.6 - - [17/May/2015:10:05
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("cli") / "data") as service:
        yield service


def ask(service: ServiceProcess, path: str, **parameters: Any) -> Any:
    response = httpx.get(f"{service.url}/api/analytics/{path}", params=parameters, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def independent_count() -> Counter[tuple[str, str]]:
    """(path, UTC day) of what is a page view, counted with one regular expression and the crawler list alone."""
    line = re.compile(r'^\S+ \S+ \S+ \[(\d+)/May/2015:[^\]]+ \+0000\] "GET (/blog/[^? ]*)\S* [^"]*" 200 .*"([^"]*)"$')
    crawlers = CrawlerDetect()
    found: Counter[tuple[str, str]] = Counter()
    for text in LOG.read_text(errors="replace").splitlines():
        hit = line.match(text)
        if hit and not crawlers.isCrawler(hit[3]):
            found[hit[2], f"2015-05-{hit[1]}"] += 1
    return found


@pytest.mark.skipif(not LOG.exists(), reason="the real access log is not here")
def test_real_log_gives_the_independently_counted_numbers(served: ServiceProcess) -> None:
    expected = independent_count()
    first = served.cli(*IMPORT, "--json", str(LOG))
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert (report["lines"], report["unparsable"]) == (10_000, 1)
    assert report["accepted"] == report["events"] == expected.total()

    by_blog: Counter[str] = Counter()
    by_day: Counter[str] = Counter()
    for (path, day), views in expected.items():
        by_blog[path] += views
        by_day[day] += views
    top = ask(served, "top/blog", site="semicomplete.com", limit=100)["results"]
    assert {row["id"]: row["z"] for row in top} == dict(
        sorted(by_blog.items(), key=lambda one: (-one[1], one[0]))[:100]
    )
    days = ask(served, "performance", site="semicomplete.com", compare="day")["results"]
    assert {row["period"]: row["y"] for row in days} == by_day
    everything = ask(served, "blog-views/country", site="semicomplete.com")["results"]
    assert [(row["y"], row["z"]) for row in everything] == [(len(by_blog), expected.total())]

    second = json.loads(served.cli(*IMPORT, "--json", str(LOG)).stdout)
    assert (second["accepted"], second["duplicates"]) == (0, expected.total())
    assert ask(served, "blog-views/country", site="semicomplete.com")["results"] == everything


def test_small_log_is_sorted_out(served: ServiceProcess, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(SMALL_LOG)
    done = served.cli("import", "--format", "combined", "--site", "small", str(log))
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "7 lines, 3 events: 3 accepted, 0 duplicates, 0 rejected"
    assert "line 7 (not_combined): 10.0.0.6" in done.stderr
    rows = ask(served, "blog-views/blog", site="small", interval="day")["results"]
    assert [(row["x"], row["z"]) for row in rows] == [("/blog/a - 2015-05-17", 2), ("/blog/b - 2015-05-18", 1)]
    assert ask(served, "top/blog", site="small")["results"][0]["id"] == "/blog/a"


def test_ndjson_import_tells_what_was_rejected(served: ServiceProcess, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    lines = ['{"blog_id": "a"}', "", "no json", '{"blog_id": "b", "country": "Moon"}', '{"blog_id": "a"}']
    file.write_text("\n".join(lines))
    done = served.cli("import", "--format", "ndjson", "--site", "lines", "--json", str(file))
    report = json.loads(done.stdout)
    assert (report["accepted"], report["rejected"], report["unparsable"]) == (2, 1, 1)
    assert report["first_rejected"][0].startswith("line 4: country must be")
    again = json.loads(served.cli("import", "--format", "ndjson", "--site", "lines", "--json", str(file)).stdout)
    assert (again["accepted"], again["duplicates"]) == (0, 2)


def test_long_lines_make_smaller_requests(served: ServiceProcess, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    line = json.dumps({"blog_id": "a", "referrer": f"https://example.org/?{'x' * 2_500}"})
    file.write_text(f"{line}\n" * 5_000)  # 12.5 MB, the limit of a request is 10 MiB
    done = served.cli("import", "--format", "ndjson", "--site", "long", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"] == 5_000


def test_populate_fills_a_site_and_the_same_seed_makes_the_same(served: ServiceProcess) -> None:
    shapes = []
    for site in ("one", "two"):
        options = ("--seed", "7", "--blog-views", "300", "--blogs", "9", "--users", "4", "--countries", "3")
        done = served.cli("populate", "--site", site, *options)
        assert done.returncode == 0, done.stderr
        assert f"site {site}: 4 authors, 9 blogs, 300 views over 365 days" in done.stdout
        rows = ask(served, "blog-views/blog", site=site)["results"]
        shapes.append([(row["x"], row["id"], row["z"]) for row in rows])
    assert shapes[0] == shapes[1]
    assert sum(views for _, _, views in shapes[0]) == 300


def test_populate_clear_empties_the_site_first_and_the_same_seed_counts_again(served: ServiceProcess) -> None:
    site, options = "cleared", ("--blog-views", "30", "--days", "20", "--seed", "3")
    for clear in ((), ("--clear",)):
        done = served.cli("populate", "--site", site, *options, *clear)
        assert "30 views over 20 days" in done.stdout, done.stderr
        assert "known already" not in done.stdout
        assert sum(row["z"] for row in ask(served, "top", site=site, top="country", limit=100)["results"]) == 30


def test_delete_says_what_it_did_and_asks_before(served: ServiceProcess) -> None:
    site = "deleted"
    events = [{"site": site, "blog_id": blog, "viewer_id": "v"} for blog in ("a/b", "a/b", "c", "c")]
    httpx.post(f"{served.url}/api/events?wait=stored", json=events).raise_for_status()
    assert served.cli("delete", "blog", "a/b", "--site", site).returncode == 1
    assert served.cli("delete", "blog", "a/b", "--site", site, "--yes").stdout == (
        f"blog a/b of site {site}: 2 events were deleted\n"
    )
    absent = served.cli("delete", "blog", "a/b", "--site", site, "--yes")
    assert (absent.returncode, absent.stderr.count("\n")) == (1, 1)
    assert "no blog a/b" in absent.stderr
    job = json.loads(served.cli("delete", "site", site, "-y", "--json").stdout)
    assert (job["kind"], job["status"]) == ("deletion", "done")
    assert ask(served, "top", site=site)["results"] == []


def test_populate_sent_again_with_the_same_seed_adds_nothing(served: ServiceProcess) -> None:
    options = ("--site", "again", "--seed", "7", "--blog-views", "50", "--blogs", "3", "--users", "2")
    first, second = (json.loads(served.cli("populate", *options, "--json").stdout) for _ in range(2))
    assert first == {"site": "again", "authors": 2, "blogs": 3, "days": 365, "accepted": 50, "duplicates": 0}
    assert second == {**first, "accepted": 0, "duplicates": 50}
    assert "0 views over 365 days, 50 known already" in served.cli("populate", *options).stdout


def test_migrate_says_what_it_applied(tmp_path: Path) -> None:
    alone = ServiceProcess(tmp_path / "data")
    first, second = (json.loads(alone.cli("migrate", "--json").stdout) for _ in range(2))
    assert first["applied"]
    assert second == {"applied": []}


def test_stats_show_every_table(served: ServiceProcess) -> None:
    rows = json.loads(served.cli("stats", "--json").stdout)
    views = ["raw", "quarter_hour", "hour", "six_hours", "day", "week", "month", "year"]
    samples = ["raw", "minute", "hour", "day", "week", "month", "year"]
    assert [row["grain"] for row in rows] == [*views, *samples]
    printed = served.cli("stats").stdout.splitlines()
    head, *lines = (line.split() for line in printed if line.strip() and "─" not in line)
    assert head[:5] == ["table", "grain", "rows", "size", "compression"]
    assert [line[:2] for line in lines] == [[row["table"], row["grain"]] for row in rows]


def test_optimal_shows_the_segments_of_a_range(served: ServiceProcess) -> None:
    asked = ("optimal", "--start", "2024-01-01", "--end", "2024-02-03", "--timezone", "Asia/Kolkata")
    plan = json.loads(served.cli(*asked, "--json").stdout)
    assert (plan["grain"], plan["table"]) == ("month", "views_by_month")
    shown = served.cli(*asked).stdout
    assert shown.startswith("views_by_month (month), about ")
    assert all(segment["table"] in shown for segment in plan["segments"])
    of_samples = served.cli("optimal", "--dataset", "samples", "--start", "2024-01-01", "--end", "2024-01-19")
    assert of_samples.stdout.startswith("samples_by_day (day), about 0 rows")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("optimal", "--start", "yesterday"),
            "--start: must be a date like 2025-01-31, or a timestamp with offset like 2025-01-31T12:00:00Z",
        ),
        (("optimal", "--group-by", "planet"), "--group-by: Input should be 'country', 'user' or 'blog'"),
        (("schedule", "run", "nope"), "there is no schedule nope, but hourly, "),
        (("import", "--undo", "99999"), "there is no import 99999"),
    ],
)
def test_what_the_service_finds_wrong_is_wrong_usage(
    served: ServiceProcess, arguments: tuple[str, ...], line: str
) -> None:
    done = served.cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"readership: {line}"), done.stderr
    assert "%2B" not in done.stderr


def test_without_a_service_the_embedded_one_runs_in_the_process(tmp_path: Path) -> None:
    nobody = ServiceProcess(tmp_path / "data")
    del nobody.environment["READERSHIP_URL"]
    if _port_8000_answers():
        pytest.skip("something listens on port 8000, the CLI's default address")
    assert nobody.cli("populate", "--blog-views", "20").returncode == 0
    rows = json.loads(nobody.cli("stats", "--json").stdout)
    assert rows[0]["rows"] == 20


def test_a_stalled_upload_does_not_hold_the_stop_for_ever(tmp_path: Path) -> None:
    with (
        ServiceProcess(tmp_path / "data") as service,
        socket.create_connection(("127.0.0.1", service.port)) as client,
    ):
        client.sendall(b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
        time.sleep(0.5)
        assert service.stop() == 0


def test_a_stop_during_the_start_is_remembered(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data")
    process = service.launch()
    try:
        while process.poll() is None and not service.data.exists():  # the first thing that opening makes
            time.sleep(0.005)
        assert service.stop() == 0, service.log.read_text()
        assert not (service.data / "valkey" / "valkey.sock").exists()
        assert "listening" not in service.log.read_text()
    finally:
        service.kill()


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data")
    with socket.create_server(("127.0.0.1", service.port)):
        done = service.cli("serve")
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [f"readership: cannot listen on 127.0.0.1 port {service.port}: Address already in use"],
    )


def test_a_variable_that_is_no_setting_is_told(tmp_path: Path) -> None:
    unread = {"READERSHIP_SPOOL_MAXBYTES": "1", "READERSHIP_REMOTE_WRITE_TOKEN": "t", "READERSHIP_EMPTY": ""}
    service = ServiceProcess(tmp_path / "data", **unread)
    (tmp_path / ".env").write_text("READERSHIP_ELSEWHERE=1\nOTHER=1\n")
    with socket.create_server(("127.0.0.1", service.port)):
        told = service.cli("serve").stderr.splitlines()
    assert [line.partition(": ")[2] for line in told[:-1]] == [
        "READERSHIP_ELSEWHERE is no setting, and nothing reads it",
        "READERSHIP_SPOOL_MAXBYTES is no setting, and nothing reads it: did you mean READERSHIP_SPOOL_MAX_BYTES?",
    ]


def test_commands_ask_the_port_that_the_service_listens_on(
    served: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(served.environment, "READERSHIP_URL")
    done = served.cli("stats", "--json")
    assert done.returncode == 0, done.stderr


def _port_8000_answers() -> bool:
    try:
        httpx.get("http://127.0.0.1:8000/healthz", timeout=5)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "words"),
    [
        (("stats",), {}, 1, "nothing answers at"),
        (("stats",), {"READERSHIP_PORT": "many"}, 2, "READERSHIP_PORT"),
        (("serve",), {"READERSHIP_CLICKHOUSE_DSN": "mysql://x"}, 2, "READERSHIP_CLICKHOUSE_DSN: must start with"),
        (("serve",), {"READERSHIP_LOG_LEVEL": "loud"}, 2, "READERSHIP_LOG_LEVEL"),
        (("serve",), {"READERSHIP_REDIS_URL": "redis://h:abc/0"}, 2, "READERSHIP_REDIS_URL: must be like"),
        (("migrate",), {"READERSHIP_CLICKHOUSE_DSN": "clickhouse://127.0.0.1:9/x"}, 1, "readership: "),
        (("import", "--format", "combined", "/nowhere.log"), {}, 2, "does not exist"),
        (("import", "--format", "ndjson", "--match", "x", "/dev/null"), {}, 2, "--match"),
        (("import", "--format", "combined", "--match", "(", "/dev/null"), {}, 2, "regular expression"),
        (("populate", "--blogs", "0"), {}, 2, "at least one blog"),
        (("dance",), {}, 2, "No such command 'dance'; see `readership --help`"),
        (("synth",), {}, 2, "Missing option '--metric-name'; see `readership synth --help`"),
        (("stats", "--verbose"), {}, 2, "No such option: --verbose"),
        (("serve", "--port", "many"), {}, 2, "'--port': Input should be a valid integer"),
        (("schedule", "run"), {}, 2, "Missing argument 'name'; see `readership schedule run --help`"),
        (("import", "--format", "combined", "/" + "very/" * 30 + "long.log"), {}, 2, "very/long.log' does not exist"),
    ],
)
def test_wrong_use_ends_in_a_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], status: int, words: str
) -> None:
    done = ServiceProcess(tmp_path / "data", **environment).cli(*arguments)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert (done.stderr.startswith("readership: "), done.stderr.count("\n")) == (True, 1), done.stderr


def test_without_a_command_the_commands_are_listed(tmp_path: Path) -> None:
    done = ServiceProcess(tmp_path / "data").cli()
    assert (done.returncode, done.stderr) == (2, "")
    assert "backfill" in done.stdout
