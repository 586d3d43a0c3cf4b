"""GET /api/export and `readership export`: what was stored comes out as it went in, in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from clickhouse.engine import Engine
from clickhouse.exports import event_portions, sample_portions
from clickhouse.migrate import migrate
from clickhouse.question import SeriesQuestion
from clickhouse.samples import Sample, labels_text
from tests.damage import events
from tests.damage import store as store_events
from tests.process import MAIN, ServiceProcess
from tests.sample_series import samples, store
from tests.service import Json, Service, new_site
from tests.stand_in import Answer, stand_in
from tests.test_samples import OPENMETRICS, send, stored

AT = 1_735_689_600_123
HOSTILE = ['a"b', "back\\slash\\", "two\nlines", "a,b=c}", "\\n", "ታሪክ 🫀", " ", "#", '{"json": [1]}', "x" * 1024]
VALUES = [0.1 + 0.2, -1.5e-300, 1.7976931348623157e308, 3.0, 1e22, 5e-324]


def hostile(site: str) -> list[Json]:
    labels: list[dict[str, str]] = [{}, *({"user": text, "le": "1"} for text in HOSTILE)]
    return [
        {"site": site, "metric": "m:rate", "labels": one, "at": AT + number * 1007, "value": value}
        for one in labels
        for number, value in enumerate(VALUES)
    ]


def by_sample(sent: list[Json]) -> dict[tuple[Any, ...], float]:
    return {(tuple(sorted(one["labels"].items())), one["at"]): one["value"] for one in sent}


async def exported(service: Service, **asked: Any) -> httpx.Response:
    answer = await service.http.get("/api/export", params=asked)
    assert answer.status_code == 200, answer.text
    return answer


async def test_openmetrics_comes_back_equal_from_the_reference_parser_and_from_here(
    service: Service, site: str
) -> None:
    sent = hostile(site)
    await send(service, sent)
    answer = await exported(service, metric="m:rate", site=site)
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="m_rate.txt"'
    (family,) = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    assert (family.name, family.type, len(family.samples)) == ("m:rate", "gauge", len(sent))
    read = {
        (tuple(sorted(one.labels.items())), one.timestamp.sec * 1000 + one.timestamp.nsec // 1_000_000): one.value
        for one in family.samples
    }
    assert read == by_sample(sent)
    assert [answer.text.count(line) for line in ("# HELP m:rate ", "# TYPE m:rate gauge", "# EOF")] == [1, 1, 1]
    assert answer.text.endswith("# EOF\n")

    other = new_site()
    assert (await send(service, answer.text, OPENMETRICS, site=other))["accepted"] == len(sent)
    assert await stored(service, other) == await stored(service, site)
    assert (await exported(service, metric="m:rate", site=other)).text == answer.text


async def test_every_format_holds_every_sample(service: Service, site: str) -> None:
    sent = hostile(site)
    await send(service, sent)
    asked = {"metric": "m:rate", "site": site}
    lines = (await exported(service, **asked, format="ndjson")).content.splitlines()
    assert by_sample([{**one, "at": _epoch_ms(one["at"])} for one in map(json.loads, lines)]) == by_sample(sent)
    assert (await send(service, b"\n".join(lines), {"Content-Type": "application/x-ndjson"}))["duplicates"] == len(sent)

    table = csv.DictReader(io.StringIO((await exported(service, **asked, format="csv")).text, newline=""))
    assert by_sample([_typed(row) for row in table]) == by_sample(sent)

    file = pq.read_table(io.BytesIO((await exported(service, **asked, format="parquet")).content))
    rows = [{**row, "at": row["at"].isoformat(), "value": repr(row["value"])} for row in file.to_pylist()]
    assert by_sample([_typed(row) for row in rows]) == by_sample(sent)


def _typed(row: Json) -> Json:
    return {"labels": json.loads(row["labels"]), "at": _epoch_ms(row["at"]), "value": float(row["value"])}


def _epoch_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def test_labels_and_a_range_narrow_it(service: Service, site: str) -> None:
    sent = hostile(site)
    await send(service, sent)
    text = (await exported(service, metric="m:rate", site=site, labels=json.dumps({"user": HOSTILE[:2]}))).text
    (family,) = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    assert {one.labels["user"] for one in family.samples} == set(HOSTILE[:2])
    start, end = (datetime.fromtimestamp(ms / 1000, UTC).isoformat() for ms in (AT + 1007, AT + 3 * 1007))
    lines = (await exported(service, metric="m:rate", site=site, start=start, end=end, format="ndjson")).text
    assert {json.loads(line)["value"] for line in lines.splitlines()} == set(VALUES[1:3])
    nothing = await exported(service, metric="m:rate", site=site, end="2020-01-01")
    assert nothing.text == "# HELP m:rate Exported from Readership\n# TYPE m:rate gauge\n# EOF\n"


@pytest.mark.parametrize("rows", [1, 7, 1000])
async def test_portions_are_all_rows_once_and_in_order(engine: Engine, rows: int) -> None:
    await migrate(engine)
    taken = samples(100)
    await store(engine, taken)
    await store(engine, [one._replace(value=one.value + 1, received_at=one.received_at + 1) for one in taken[:50]])
    await store(engine, samples(20, seed=2, metric="other") + samples(20, seed=3, site="elsewhere"))
    question = SeriesQuestion("default", "heart_rate", (), None, None)
    right = [*(one._replace(value=one.value + 1) for one in taken[:50]), *taken[50:]]
    found = [tuple(row) async for portion in sample_portions(engine, question, rows) for row in portion]
    assert found == sorted((one.labels, one.at, one.value) for one in right)

    views = events(60)
    await store_events(engine, views)
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 12, 31, tzinfo=UTC)
    read = [row async for portion in event_portions(engine, "s", start, end, rows) for row in portion]
    inside = [one for one in views if one.site == "s" and start.timestamp() <= one.viewed_at / 1000 < end.timestamp()]
    assert [row[6] for row in read] == sorted(one.viewed_at for one in inside)
    told = {(row[0].replace("-", ""), row[2], row[3], row[4], int(row[5])) for row in read}
    assert told == {(one.event_id.hex(), one.blog_id, one.author_id, one.country, one.viewer) for one in inside}


async def test_portions_of_long_labels_have_fewer_rows(engine: Engine) -> None:
    """At most 32 MiB of labels in each."""
    await migrate(engine)
    long = labels_text({"a": "x" * 7_992})
    taken = [Sample("default", "long", long, AT + number, 1.0, AT) for number in range(9_000)]
    await store(engine, taken)
    question = SeriesQuestion("default", "long", (), None, None)
    sizes = [len(portion) async for portion in sample_portions(engine, question)]
    assert (sum(sizes), sizes[:2]) == (9_000, [4_194, 4_194])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "metric"),
        ({"metric": "1m"}, "metric"),
        ({"dataset": "views", "metric": "m"}, "metric"),
        ({"dataset": "views", "labels": "a=b"}, "labels"),
        ({"dataset": "views", "format": "openmetrics"}, "format"),
        ({"metric": "m", "format": "xml"}, "format"),
        ({"metric": "m", "labels": "{"}, "labels"),
        ({"metric": "m", "start": "2025-01-02", "end": "2025-01-01"}, "end"),
        ({"metric": "m", "since": "2025-01-02"}, "since"),
    ],
)
async def test_what_cannot_be_exported_is_named(service: Service, asked: dict[str, str], field: str) -> None:
    answer = await service.http.get("/api/export", params=asked)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("export") / "data") as service:
        # 40 MB of text: more than lies between the service and who reads from it.
        for first in range(0, 40_000, 4_000):
            sent = [
                {"metric": "m", "labels": {"l": "x" * 1000}, "at": AT + number, "value": number}
                for number in range(first, first + 4_000)
            ]
            httpx.post(f"{service.url}/api/samples?wait=stored", json=sent, timeout=60).raise_for_status()
        views = [{"blog_id": f"b{n % 7}", "viewer_id": n % 5, "country": "ET", "viewed_at": AT + n} for n in range(50)]
        httpx.post(f"{service.url}/api/events?wait=stored", json=views, timeout=60).raise_for_status()
        yield service


def top(service: ServiceProcess, site: str) -> Any:
    asked = {"top": "blog", "site": site}
    return httpx.get(f"{service.url}/api/analytics/top", params=asked, timeout=60).json()["results"]


@pytest.mark.parametrize("format_", ["ndjson", "csv", "parquet"])
def test_exported_views_are_imported_again(served: ServiceProcess, tmp_path: Path, format_: str) -> None:
    file = tmp_path / f"views.{format_}"
    done = served.cli("export", "--dataset", "views", "--format", format_, "--output", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    again = served.cli("import", str(file), "--format", format_)
    assert "0 accepted, 50 duplicates, 0 rejected" in again.stdout
    if format_ == "csv":
        text = file.read_text().replace("\ndefault,", "\ncopy,").replace(",default,", ",copy,")
        file.write_text(text)
        assert "50 accepted" in served.cli("import", str(file), "--format", format_).stdout
        assert top(served, "copy") == top(served, "default")


def test_an_export_goes_to_the_standard_output_as_well(served: ServiceProcess) -> None:
    done = served.cli("export", "--metric", "m", "--end", "2024-12-31")
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "# EOF", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "--metric: is required: samples are exported a metric at a time"),
        (("--metric", "m", "--format", "xml"), "--format: Input should be 'openmetrics', 'csv', 'parquet' or "),
        (("--metric", "m", "--start", "yesterday"), "--start: must be a date like"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_no_file(
    served: ServiceProcess, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    done = served.cli("export", *arguments, "--output", str(tmp_path / "file"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith(f"readership: {line}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("always", [False, True])
def test_a_proxy_that_compresses_leaves_the_file_as_it_is(tmp_path: Path, always: bool) -> None:
    text = b"# HELP m x\n# TYPE m gauge\nm 1.0 1\n# EOF\n"

    def proxied(_: str, headers: Mapping[str, str], __: bytes) -> Answer:
        if always or "gzip" in headers.get("accept-encoding", ""):
            return 200, {"Content-Encoding": "gzip"}, gzip.compress(text)
        return 200, {}, text

    with stand_in(proxied) as url:
        command = [sys.executable, "-c", MAIN, "export", "--metric", "m", "--output", "m.txt", "--url", url]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "m.txt").read_bytes() == text


def test_what_is_cut_off_does_not_look_whole(served: ServiceProcess) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", MAIN, "export", "--metric", "m"],
        env=served.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=served.log.parent,
    )
    assert command.stdout is not None
    begun = command.stdout.read(1000)
    served.kill()
    rest, told = command.communicate(timeout=60)
    assert begun.startswith(b"# HELP m ")
    assert (command.returncode, b"# EOF" in rest) == (1, False)
    assert len(told.splitlines()) == 1
    assert told.startswith(b"readership: the export was cut off, and is not whole")


def test_where_nothing_listens_the_embedded_service_exports(served: ServiceProcess) -> None:
    # After the test that kills it: the folder is free.
    served.environment.pop("READERSHIP_URL")
    done = served.cli("export", "--metric", "m", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + 40_000
