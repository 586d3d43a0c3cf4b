"""CSV and Parquet, the pure half: what a row becomes, and what is wrong with a file that is none."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.imports.cells import UnusableFile, moment
from service.imports.events import EventLine, FileFormat, Reading, read_events
from service.imports.reasons import Reason

Json = dict[str, Any]


def read(path: Path, **how: Any) -> list[Json | Reason]:
    """Events without what every one has; reasons of those that are none."""
    form = FileFormat.PARQUET if path.suffix == ".parquet" else FileFormat.CSV
    found: list[Json | Reason] = []
    for line in read_events(path, Reading(form, "s", **how)):
        if isinstance(line, EventLine):
            json.dumps(line.fields, ensure_ascii=False, allow_nan=False).encode()
            found.append({key: value for key, value in line.fields.items() if key not in ("site", "event_id")})
        else:
            found.append(line.reason)
    return found


def ids(path: Path, **how: Any) -> list[object]:
    form = FileFormat.PARQUET if path.suffix == ".parquet" else FileFormat.CSV
    return [
        line.fields["event_id"] for line in read_events(path, Reading(form, "s", **how)) if isinstance(line, EventLine)
    ]


CELLS: dict[str, tuple[bytes, list[Json | Reason]]] = {
    "an empty cell is absent": (b"blog_id,country\na,\n", [{"blog_id": "a"}]),
    "what is no event field is passed over": (b"x,blog_id\n1,a\n", [{"blog_id": "a"}]),
    "a byte order mark": (b"\xef\xbb\xbfblog_id\na\n", [{"blog_id": "a"}]),
    "quotes, commas and line breaks in cells": (
        b'blog_id,url\r\n"a ""b"", c","x\r\ny"\r\nd,e\r\n',
        [{"blog_id": 'a "b", c', "url": "x\ny"}, {"blog_id": "d", "url": "e"}],
    ),
    "no line break at the end": (b"blog_id\na", [{"blog_id": "a"}]),
    "a blank line": (
        b"blog_id,url\na,b\n\nc,d\n",
        [{"blog_id": "a", "url": "b"}, Reason.BLANK, {"blog_id": "c", "url": "d"}],
    ),
    "a row cut short, or too long": (b"blog_id,url\na\nb,c,d\n", [Reason.COLUMNS, Reason.COLUMNS]),
    "a row that is no text": (b"blog_id\n\xff\xfe\nb\n", [Reason.NOT_UTF8, {"blog_id": "b"}]),
    "a huge cell": (b"blog_id\n" + b"x" * 200_000 + b"\nb\n", [Reason.TOO_LONG, {"blog_id": "b"}]),
    "a line over a MiB": (
        b"blog_id,url\n" + b"x," * 1_000_000 + b"\nb,c\n",
        [Reason.TOO_LONG, {"blog_id": "b", "url": "c"}],
    ),
    "no rows": (b"blog_id\n", []),
    "milliseconds and a time without a zone": (
        b"blog_id,viewed_at\na,1700000000000\na,2024-01-01 00:00:00\na,2024-01-01T00:00:00+02:00\n",
        [
            {"blog_id": "a", "viewed_at": at}
            for at in (1_700_000_000_000, "2024-01-01 00:00:00Z", "2024-01-01T00:00:00+02:00")
        ],
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_row_of_csv_is_an_event_or_a_reason(tmp_path: Path, name: str) -> None:
    text, expected = CELLS[name]
    path = tmp_path / "views.csv"
    path.write_bytes(text)
    assert read(path) == expected


def test_a_quote_never_closed_costs_a_piece_of_the_file_and_no_more_memory(tmp_path: Path) -> None:
    path = tmp_path / "views.csv"
    path.write_text('blog_id\n"open\n' + "row\n" * 100_000)
    found = read(path)
    assert found[0] is Reason.TOO_LONG
    assert found[-1] == {"blog_id": "row"}
    assert len(found) > 60_000


@pytest.mark.parametrize(
    ("text", "how", "words"),
    [
        (b"", {}, "it is empty"),
        (b"page,ts\n1,2\n", {}, "there is no column blog_id; the columns are page, ts"),
        (b"blog_id;ts\n1;2\n", {}, r"is it separated by ';'\? then say --delimiter"),
        (b"blog_id,blog_id\n1,2\n", {}, r"'blog_id' \(blog_id\) is there 2 times"),
        (b"blog_id\n1\n", {"columns": {"viewed_at": "ts"}}, "no column 'ts' for viewed_at"),
        (b"\xff\xfeb\x00l\x00", {}, "it is not utf8"),
        (b"x" * 200_000, {}, "names no columns"),
    ],
)
def test_a_file_that_is_no_table_of_events_is_one_line(tmp_path: Path, text: bytes, how: Json, words: str) -> None:
    path = tmp_path / "views.csv"
    path.write_bytes(text)
    with pytest.raises(UnusableFile, match=words):
        read(path, **how)


def test_ids_of_rows_depend_on_what_they_say_and_not_on_how_it_is_written(tmp_path: Path) -> None:
    plain, quoted = tmp_path / "plain.csv", tmp_path / "other.csv"
    plain.write_text("blog_id,country,more\na,ET,1\na,ET,2\nb,,3\n")
    quoted.write_text('"country";"page"\r\n"ET";"a"\r\n"ET";"a"\r\n"";"b"\r\n')
    first = ids(plain)
    assert len(set(first)) == 3
    assert first == ids(plain) == ids(quoted, columns={"blog_id": "page"}, delimiter=";")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("1700000000000", 1_700_000_000_000),
        ("-5", -5),
        ("2024-01-01T10:00", "2024-01-01T10:00Z"),
        ("2024-01-01 10:00:00.123456", "2024-01-01 10:00:00.123456Z"),
        ("2024-01-01T10:00:00z", "2024-01-01T10:00:00z"),
        ("2024-01-01", "2024-01-01"),
        ("x", "x"),
        ("9" * 30, "9" * 30),
        ("٣", "٣"),
    ],
)
def test_a_time_of_a_table_is_sent_as_the_api_takes_it(text: str, sent: str | int) -> None:
    assert moment(text) == sent


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


AT = datetime(2024, 1, 1, 12, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([AT], pa.timestamp("us", "Europe/Berlin")), MS),
        (pa.array([AT.replace(tzinfo=None)], pa.timestamp("ns")), MS),
        (pa.array([MS]), MS),
        (pa.array([float(MS)]), MS),
        (pa.array(["2024-01-01 12:00:00"]), "2024-01-01 12:00:00Z"),
        (pa.array(["2024-01-01T12:00:00Z"]).dictionary_encode(), "2024-01-01T12:00:00Z"),
        (pa.array([None], pa.timestamp("ms")), None),
    ],
)
def test_times_of_parquet_are_instants_without_a_zone_in_utc(tmp_path: Path, values: Any, expected: object) -> None:
    (event,) = read(parquet(tmp_path / "v.parquet", blog_id=["a"], viewed_at=values))
    assert isinstance(event, dict)
    assert event.get("viewed_at") == expected


def test_cells_of_parquet_are_text_numbers_or_absent(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "v.parquet",
        blog_id=pa.array([1, 2, 3, 4]),
        viewer_id=pa.array([7.0, None, float("nan"), 1.5]),
        country=pa.array(["ET", "", None, "US"]),
        event_id=pa.array([b"\1" * 16, None, None, None], pa.binary(16)),
        more=pa.array([[1], [], None, [2]]),
    )
    assert read(path) == [
        {"blog_id": 1, "viewer_id": 7, "country": "ET"},
        {"blog_id": 2},
        {"blog_id": 3},
        {"blog_id": 4, "viewer_id": "1.5", "country": "US"},
    ]
    assert ids(path)[0] == "01010101-0101-0101-0101-010101010101"
    assert ids(path) == ids(path)


def test_text_of_parquet_that_is_none_costs_its_row_alone(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"]).buffers())
    assert read(parquet(tmp_path / "v.parquet", blog_id=bad)) == [{"blog_id": "a"}, Reason.NOT_UTF8, {"blog_id": "c"}]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"page": ["a"]}, "there is no column blog_id; the columns are page"),
        ({"blog_id": [["a"]]}, r"'blog_id' \(blog_id\) holds list"),
        ({"blog_id": ["a"], "viewed_at": [True]}, r"'viewed_at' \(viewed_at\) holds bool"),
        ({"blog_id": ["a"], "viewed_at": [AT.date()]}, "holds date32"),
    ],
)
def test_a_parquet_file_of_the_wrong_shape_is_one_line(tmp_path: Path, columns: Json, words: str) -> None:
    with pytest.raises(UnusableFile, match=words):
        read(parquet(tmp_path / "v.parquet", **columns))


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -200])
def test_a_parquet_file_cut_short_is_one_line(tmp_path: Path, keep: int) -> None:
    path = parquet(tmp_path / "v.parquet", blog_id=[f"blog-{n}" for n in range(100)])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnusableFile, match=r"no whole Parquet file: .+"):
        read(path)


def test_csv_as_python_writes_it_comes_back(tmp_path: Path) -> None:
    cells = ["a", 'q"q', "c,c", "l\nl", "ü€😀", " s ", "'"]
    text = io.StringIO()
    csv.writer(text).writerows([["blog_id", "url"], *([cell, "u"] for cell in cells)])
    path = tmp_path / "views.csv"
    path.write_text(text.getvalue(), newline="")
    assert [event["blog_id"] for event in read(path) if isinstance(event, dict)] == cells
