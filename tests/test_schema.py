"""The schema: derived as written down, applied once, never edited behind our back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clickhouse import migrate as migrating
from clickhouse.ddl import rollup_objects
from clickhouse.engine import Dsn, Engine
from clickhouse.errors import Refused, SchemaMismatch
from clickhouse.migrate import Migration, migrate, numbered
from clickhouse.statement import Statement
from tests.process import ServiceProcess
from tests.schema_golden import GOLDEN, derived


def test_derived_ddl_is_the_one_written_down() -> None:
    assert derived() == GOLDEN.read_text(), "the registry changed: run `make schema` and look at the difference"


async def test_migrating_twice_applies_nothing_more(engine: Engine) -> None:
    first = await migrate(engine)
    assert first == [*(m.name for m in numbered()), *(o.name for o in rollup_objects())]
    assert await migrate(engine) == []


async def test_edited_migration_is_refused_and_changes_nothing(engine: Engine) -> None:
    original = numbered()
    await migrate(engine, original[:1])
    edited = replace(original[0], checksum="edited")
    with pytest.raises(SchemaMismatch, match="0001_view_events was edited"):
        await migrate(engine, [edited, original[1]])
    tables = await engine.select(Statement("SELECT name FROM system.tables WHERE database = currentDatabase()"))
    assert ("blogs",) not in {tuple(row) for row in tables}


async def test_migration_cut_off_in_the_middle_is_taken_up_again(engine: Engine) -> None:
    # blogs exists, authors and the ledger's entry do not: as after a kill between two statements.
    await engine.execute(Statement(numbered()[1].statements[1]))
    assert "0002_blogs_and_authors" in await migrate(engine)


async def test_changed_view_is_swapped_in_place(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(engine)
    views = [rollup for rollup in rollup_objects() if rollup.select]
    changed = replace(views[0], create=f"{views[0].create} ", select=f"{views[0].select}\nHAVING views > 0")
    monkeypatch.setattr(migrating, "rollup_objects", lambda: [changed])
    assert await migrate(engine) == [changed.name]
    stored = await engine.select(
        Statement(
            "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            {"name": changed.name},
        )
    )
    assert "HAVING" in stored[0][0]


async def test_reshaped_rollup_table_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(engine)
    table = rollup_objects()[0]
    monkeypatch.setattr(migrating, "rollup_objects", lambda: [replace(table, create=f"{table.create} -- other")])
    with pytest.raises(SchemaMismatch, match=table.name):
        await migrate(engine)


async def test_rollup_that_comes_after_the_events_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = rollup_objects()
    without_year = [rollup for rollup in everything if "year" not in rollup.name]
    monkeypatch.setattr(migrating, "rollup_objects", lambda: without_year)
    await migrate(engine)
    await engine.execute(Statement("INSERT INTO view_events (site, blog_id, viewed_at) SELECT 's', 'b', now64(3)"))
    monkeypatch.setattr(migrating, "rollup_objects", lambda: everything)
    with pytest.raises(SchemaMismatch, match="views_by_year is new"):
        await migrate(engine)


def test_comments_may_change_and_statements_may_not() -> None:
    one = Migration.parse("m", "-- a\nCREATE TABLE t (a Int8)\nENGINE = Memory;\n")
    other = Migration.parse("m", "-- b\nCREATE TABLE t (a Int8)\nENGINE = Memory;\n")
    edited = Migration.parse("m", "CREATE TABLE t (a Int16)\nENGINE = Memory;\n")
    assert one.checksum == other.checksum != edited.checksum
    assert one.statements == ("CREATE TABLE t (a Int8)\nENGINE = Memory",)


async def test_every_time_column_says_utc(engine: Engine) -> None:
    await migrate(engine)
    columns = await engine.select(
        Statement("SELECT table, name, type FROM system.columns WHERE database = currentDatabase()")
    )
    times = [column for column in columns if column[2].startswith("DateTime")]
    assert times
    assert all("'UTC'" in type_ for _, _, type_ in times), times


async def test_readers_cannot_write(engine: Engine) -> None:
    await migrate(engine)
    with pytest.raises(Refused):
        await engine.select(Statement("INSERT INTO authors (site) SELECT 'x'"))


def test_second_process_on_the_same_folder_gets_one_line(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path / "data") as service:
        second = service.cli("migrate")
    assert second.returncode == 1
    # chDB writes a line of its own first.
    assert second.stderr.splitlines()[-1].startswith("readership: ")
    assert "is open in another process" in second.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chdb://./data/clickhouse", Dsn(embedded=True, database="readership", path=Path("data/clickhouse"))),
        ("chdb:///srv/x?database=b", Dsn(embedded=True, database="b", path=Path("/srv/x"))),
        (
            "clickhouse://user:p%40ss@host:9000/db",
            Dsn(embedded=False, database="db", host="host", port=9000, username="user", password="p@ss"),  # noqa: S106
        ),
        (
            "clickhouses://host",
            Dsn(embedded=False, database="readership", host="host", port=8443, secure=True),
        ),
    ],
)
def test_dsn(text: str, expected: Dsn) -> None:
    assert Dsn.parse(text) == expected


def test_wrong_dsn_does_not_tell_the_password() -> None:
    with pytest.raises(ValueError, match="no number for a port") as told:
        Dsn.parse("clickhouse://u:secret/ss@h/x")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("text", ["", "chdb://", "postgres://host/db", "clickhouse://", "clickhouse:///db"])
def test_wrong_dsn_says_why(text: str) -> None:
    with pytest.raises(ValueError, match=r"must start with|names no host|needs a folder"):
        Dsn.parse(text)
