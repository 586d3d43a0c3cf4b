"""Batches that ClickHouse refused: kept as they were, shown, sent again and counted once, or dropped."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.engine import Dsn, Engine, open_engine
from clickhouse.statement import Statement
from tests.conftest import NewDsn
from tests.dead_letters import event, letter
from tests.process import ServiceProcess
from tests.service import Json, Service, new_site, open_service
from workers.dead_letters import DeadLetters, Letter, NoSuchLetter, UnreadableLetter

HOSTILE = ("..", ".", "../x", "..%2f..%2fx", "a/b", "/etc/passwd", "x\x00y", "", "-x", ".hidden", "é", "a" * 129)

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "emptied": lambda _: b"",
    "torn in the header": lambda data: data[:20],
    "torn in the batch": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "no JSON": lambda data: b"\xff" + data,
    "nested JSON": lambda data: b"[" * 100_000 + data,
    "an impossible time": lambda data: data.replace(b'"refused_at":', b'"refused_at":99999', 1),
    "of another token": lambda data: data.replace(b'"token":"', b'"token":"x', 1),
}


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    return DeadLetters(tmp_path / "dead-letters")


def file_of(letters_folder: Path, token: str) -> Path:
    return letters_folder / f"{token}.letter"


def test_letter_is_read_as_it_was_put(letters: DeadLetters, tmp_path: Path) -> None:
    put = letter([event("s", number) for number in range(3)])
    letters.put(put)
    again = DeadLetters(tmp_path / "dead-letters")
    assert again.read(put.token) == put
    first_line = file_of(tmp_path / "dead-letters", put.token).read_bytes().partition(b"\n")[0]
    assert json.loads(first_line)["reason"] == put.reason


@given(payload=st.binary(), reason=st.text(), sites=st.lists(st.text()), code=st.none() | st.integers(0, 2**31))
def test_any_batch_survives(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, reason: str, sites: list[str], code: int | None
) -> None:
    letters = DeadLetters(tmp_path_factory.getbasetemp() / "any-batch")
    put = letter([event("s")], payload=payload, reason=reason, sites=sites, code=code)
    letters.put(put)
    assert letters.read(put.token) == put
    assert [(found.about and found.about.sites, found.fault) for found in letters.summaries()] == [(sites, None)]
    letters.drop(put.token)


def test_reason_that_is_no_utf_8_keeps_no_batch_from_being_put_aside(letters: DeadLetters) -> None:
    put = letter([event("s")], reason="half a pair: \ud800")
    letters.put(put)
    assert letters.read(put.token).reason == "half a pair: ?"


def test_list_reads_headers_alone_and_begins_with_the_oldest(letters: DeadLetters, tmp_path: Path) -> None:
    put = [letter([event("s")], payload=bytes(8 * 2**20)) for _ in range(5)]
    for age, one in enumerate(reversed(put)):
        letters.put(one)
        os.utime(file_of(tmp_path / "dead-letters", one.token), (2_000_000_000 - age, 2_000_000_000 - age))
    tracemalloc.start()
    found = letters.summaries()
    most_held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most_held < 2**20
    assert [summary.id for summary in found] == [one.token for one in put]
    assert (letters.count(), letters.summaries()[0].size > 8 * 2**20) == (5, True)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file_is_listed_with_its_fault_and_can_only_be_dropped(
    letters: DeadLetters, tmp_path: Path, damage: Damage
) -> None:
    put, other = letter([event("s")]), letter([event("s")])
    letters.put(put)
    letters.put(other)
    file = file_of(tmp_path / "dead-letters", put.token)
    file.write_bytes(damage(file.read_bytes()))
    faults = {summary.id: summary.fault for summary in letters.summaries()}
    assert faults.pop(other.token) is None
    assert re.match("it is|its first line|the batch in it", faults.pop(put.token) or "")
    assert not faults
    with pytest.raises(UnreadableLetter, match=put.token):
        letters.read(put.token)
    letters.drop(put.token)
    assert [summary.id for summary in letters.summaries()] == [other.token]


def test_flipped_bit_in_the_batch_is_seen_before_it_is_sent(letters: DeadLetters, tmp_path: Path) -> None:
    put = letter([event("s")])
    letters.put(put)
    file = file_of(tmp_path / "dead-letters", put.token)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UnreadableLetter):
        letters.read(put.token)


def test_killed_put_leaves_no_letter(letters: DeadLetters, tmp_path: Path) -> None:
    for name, age in (("cut", 7_200), ("begun", 0)):
        draft = tmp_path / "dead-letters" / f"{name}.draft"
        draft.write_bytes(b"{")
        os.utime(draft, (time.time() - age,) * 2)
    assert DeadLetters(tmp_path / "dead-letters").summaries() == []
    assert [path.name for path in (tmp_path / "dead-letters").iterdir()] == ["begun.draft"]


def test_what_is_no_letter_is_passed_over(letters: DeadLetters, tmp_path: Path) -> None:
    folder = tmp_path / "dead-letters"
    (folder / "a folder.letter").mkdir()
    (folder / "folder.letter").mkdir()
    (folder / ".hidden.letter").touch()
    (folder / "notes.txt").touch()
    os.mkfifo(folder / "pipe.letter")
    assert (letters.summaries(), letters.count()) == ([], 0)


@pytest.mark.parametrize("id_", HOSTILE)
def test_hostile_id_is_no_letter(letters: DeadLetters, tmp_path: Path, id_: str) -> None:
    outside = tmp_path / "x.letter"
    outside.touch()
    for call in (letters.read, letters.drop):
        with pytest.raises(NoSuchLetter):
            call(id_)
    with pytest.raises(ValueError, match="cannot be the id"):
        letters.put(letter([event("s")], token=id_))
    assert outside.exists()


@pytest.fixture
def dsn(new_dsn: NewDsn) -> str:
    return new_dsn()


@pytest.fixture
async def own(dsn: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a folder and a database of the test's own."""
    async with open_service(dsn, redis_url, tmp_path) as service:
        yield service


@pytest.fixture
async def beside(own: Service, dsn: str) -> AsyncIterator[Engine]:
    """The service's database by another way."""
    engine = await open_engine(Dsn.parse(dsn))
    yield engine
    await engine.close()


async def views(service: Service, site: str) -> list[Json]:
    rows: list[Json] = (await service.ask("/api/analytics/blog-views", group_by="blog", site=site))["results"]
    return rows


async def listed(service: Service) -> list[Json]:
    rows: list[Json] = (await service.ask("/api/dead-letters"))["results"]
    return rows


async def test_list_shows_what_was_refused_and_comes_in_pages(own: Service, letters: DeadLetters, site: str) -> None:
    put = [letter([event(site, number), event(site)], refused_at=1_738_324_800_000) for number in range(3)]
    for one in put:
        letters.put(one)
    first = await own.ask("/api/dead-letters", page_size=2)
    assert (first["count"], first["previous"]) == (3, None)
    second = (await own.http.get(first["next"])).json()
    shown = {row.pop("id"): row for row in first["results"] + second["results"]}
    assert shown.keys() == {one.token for one in put}
    row = shown[put[0].token]
    assert row.pop("size_bytes") > len(put[0].payload)
    assert (row.pop("first_at") <= row.pop("last_at")) is True
    assert row == {
        "dataset": "views",
        "refused_at": "2025-01-31T12:00:00Z",
        "reason": put[0].reason,
        "code": 395,
        "sites": [site],
        "rows": 2,
        "fault": None,
    }
    assert (await own.http.get("/api/dead-letters", params={"page": 9})).status_code == 404
    wrong = await own.http.get("/api/dead-letters", params={"colour": "red"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "colour")


async def test_retry_counts_the_events_once_and_the_letter_is_gone(
    own: Service, letters: DeadLetters, site: str
) -> None:
    put = letter([event(site, number) for number in range(5)])
    letters.put(put)
    answers = await asyncio.gather(*(own.http.post(f"/api/dead-letters/{put.token}/retry") for _ in range(3)))
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert {"id": put.token, "rows": 5} in [answer.json() for answer in answers]
    letters.put(put)  # brought back by a power loss
    assert (await own.http.post(f"/api/dead-letters/{put.token}/retry/")).status_code == 200
    assert sum(row["z"] for row in await views(own, site)) == 5
    assert await listed(own) == []


async def test_batch_refused_by_a_rollup_is_healed_by_its_retry(
    own: Service, beside: Engine, letters: DeadLetters, site: str
) -> None:
    await beside.execute(Statement("CREATE TABLE fuse (x UInt8) ENGINE = Memory"))
    await beside.execute(
        Statement(
            "CREATE MATERIALIZED VIEW broken TO fuse AS"
            " SELECT toUInt8(throwIf(e.viewer = 7, 'on purpose')) AS x FROM view_events AS e"
        )
    )
    put = letter([event(site, 7)])
    letters.put(put)
    refused = await own.http.post(f"/api/dead-letters/{put.token}/retry")
    assert (refused.status_code, "on purpose" in refused.json()["detail"]) == (409, True)
    assert [row["id"] for row in await listed(own)] == [put.token]
    await beside.execute(Statement("DROP TABLE broken"))
    assert (await own.http.post(f"/api/dead-letters/{put.token}/retry")).status_code == 200
    assert [row["z"] for row in await views(own, site)] == [1]


async def test_letter_that_holds_no_batch_is_refused_and_stays(own: Service, letters: DeadLetters) -> None:
    put = letter([event("s")], payload=b"no batch at all")
    letters.put(put)
    refused = await own.http.post(f"/api/dead-letters/{put.token}/retry")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert "no batch" in refused.json()["detail"]
    assert [row["id"] for row in await listed(own)] == [put.token]


async def test_retry_voids_what_was_answered_before(dsn: str, redis_url: str, tmp_path: Path, site: str) -> None:
    async with open_service(dsn, redis_url, tmp_path, cache_ttl_seconds=900) as service:
        asked = {"site": site, "start": "2025-01-01", "end": "2025-01-31"}
        assert (await service.ask("/api/analytics/top/blog", **asked))["results"] == []
        put = letter([event(site)._replace(viewed_at=1_736_000_000_000)])
        DeadLetters(tmp_path / "dead-letters").put(put)
        await service.http.post(f"/api/dead-letters/{put.token}/retry")
        assert [row["z"] for row in (await service.ask("/api/analytics/top/blog", **asked))["results"]] == [1]


async def test_damaged_letter_is_listed_refused_and_dropped(own: Service, letters: DeadLetters, tmp_path: Path) -> None:
    put = letter([event("s")])
    letters.put(put)
    file_of(tmp_path / "dead-letters", put.token).write_bytes(b"{")
    (row,) = await listed(own)
    assert (row["id"], row["rows"], row["sites"]) == (put.token, None, [])
    assert row["fault"] == "its first line is no header"
    assert (await own.http.post(f"/api/dead-letters/{put.token}/retry")).status_code == 409
    assert (await own.http.delete(f"/api/dead-letters/{put.token}")).json() == {"id": put.token}
    assert (await own.http.delete(f"/api/dead-letters/{put.token}")).status_code == 404


@pytest.mark.parametrize("id_", ["nobody", "%2e%2e%2fx", "..%2f..%2fetc%2fpasswd", "x%00y", ".hidden", "%C3%A9"])
async def test_unknown_or_hostile_id_is_404(own: Service, tmp_path: Path, id_: str) -> None:
    outside = tmp_path / "x.letter"
    outside.touch()
    for method, path in (("POST", f"/api/dead-letters/{id_}/retry"), ("DELETE", f"/api/dead-letters/{id_}")):
        answer = await own.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert outside.exists()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("dead-letters") / "data") as service:
        yield service


def put_into(served: ServiceProcess, *put: Letter) -> DeadLetters:
    letters = DeadLetters(served.data / "dead-letters")
    for one in put:
        letters.put(one)
    return letters


def test_commands_list_retry_and_drop(served: ServiceProcess) -> None:
    site = new_site()
    good, bad, other = letter([event(site)]), letter([event(site)], payload=b"x"), letter([event(site)])
    put_into(served, good, bad, other)
    rows = json.loads(served.cli("dead-letter", "list", "--json").stdout)
    assert {row["id"] for row in rows} == {good.token, bad.token, other.token}
    shown = served.cli("dead-letter", "list").stdout
    assert all(words in shown for words in (good.token, bad.token, site, "throwIf"))

    one = served.cli("dead-letter", "retry", good.token)
    assert (one.returncode, one.stdout) == (0, f"retried {good.token}\n")
    every = served.cli("dead-letter", "retry", "--all", "--json")
    assert every.returncode == 1
    outcomes = {outcome["id"]: outcome["error"] for outcome in json.loads(every.stdout)}
    assert (outcomes[other.token], "no batch" in outcomes[bad.token]) == (None, True)
    assert "no batch" in every.stderr
    found = httpx.get(f"{served.url}/api/analytics/top/blog", params={"site": site}).json()["results"]
    assert [row["z"] for row in found] == [2]

    gone = served.cli("dead-letter", "drop", "--all")
    assert (gone.returncode, gone.stdout) == (0, f"dropped {bad.token}\n")
    assert served.cli("dead-letter", "list").stdout == "no dead letters\n"
    assert served.cli("dead-letter", "drop", "--all").stdout == "no dead letters\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("retry", "nobody"), 1, "there is no dead letter nobody"),
        (("drop", "nobody"), 1, "404"),
        (("drop", "../../etc/passwd"), 1, "404"),
        (("retry",), 2, "or --all"),
        (("drop", "one", "--all"), 2, "or --all"),
        (("burn",), 2, "No such command"),
    ],
)
def test_wrong_use_of_commands_is_told(
    served: ServiceProcess, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = served.cli("dead-letter", *arguments)
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
