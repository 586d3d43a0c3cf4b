"""The schema: derived as written down, applied once, never edited behind our back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clickhouse import migrate as migrating
from clickhouse.ddl import rollup_objects
from clickhouse.engine import Dsn, Engine
from clickhouse.errors import Refused, SchemaMismatch
from clickhouse.migrate import Migration, migrate, numbered
from clickhouse.rollups import ALL_GRAINS, GRAINS
from clickhouse.statement import Statement
from tests.expiry import expire
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
    await migrate(engine)
    edited = replace(original[0], checksum="edited")
    new = Migration.parse("0099_more", "CREATE TABLE more (a Int8) ENGINE = Memory;\n")
    with pytest.raises(SchemaMismatch, match="0001_view_events was edited"):
        await migrate(engine, [edited, *original[1:], new])
    tables = await engine.select(Statement("SELECT name FROM system.tables WHERE database = currentDatabase()"))
    assert ("more",) not in {tuple(row) for row in tables}


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


async def test_reshaped_rollup_is_made_again_from_raw(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    await migrate(engine)
    viewed = "INSERT INTO view_events (site, blog_id, blog_number, viewed_at) SELECT 's', 'b' || number, number,"
    await engine.execute(Statement(f"{viewed} toDateTime64('2024-12-31 23:59:59', 3, 'UTC') FROM numbers(3)"))
    await engine.execute(Statement(f"{viewed} toDateTime64('2025-01-01 00:00:00', 3, 'UTC') FROM numbers(2)"))
    held = [await rows(engine, grain.table) for grain in GRAINS]
    assert all(held)
    reshaped = [
        replace(one, create=f"{one.create},\n    ttl_only_drop_parts = 1") if one.name in RESHAPED else one
        for one in rollup_objects()
    ]
    monkeypatch.setattr(migrating, "rollup_objects", lambda: reshaped)
    assert await migrate(engine) == RESHAPED
    assert [await rows(engine, grain.table) for grain in GRAINS] == held
    await engine.execute(Statement(f"{viewed} toDateTime64('2025-01-01 00:00:00', 3, 'UTC') FROM numbers(1)"))
    for grain, before in zip(GRAINS, held, strict=True):
        totals = [
            sum(row[-1] for row in found if row[0] == "total") for found in (before, await rows(engine, grain.table))
        ]
        assert totals == [5, 6], grain.name
    assert await migrate(engine) == []


async def test_rollup_is_not_made_again_from_events_that_have_expired(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(engine)
    viewed = "INSERT INTO view_events (site, blog_id, viewed_at) SELECT 's', 'b', toDateTime64('2024-12-31', 3, 'UTC')"
    await engine.execute(Statement(viewed))
    await expire(engine, 1_735_689_600_000)
    held = [await rows(engine, grain.table) for grain in GRAINS]
    other = [replace(one, create=f"{one.create} ") for one in rollup_objects()]
    with monkeypatch.context() as newer:
        newer.setattr(migrating, "rollup_objects", lambda: other)
        with pytest.raises(SchemaMismatch, match="views_by_quarter_hour has another shape"):
            await migrate(engine)
    assert [await rows(engine, grain.table) for grain in GRAINS] == held
    assert await migrate(engine) == []


RESHAPED = ["views_by_quarter_hour", "views_by_day", "views_by_year"]


async def rows(engine: Engine, table: str) -> list[tuple[Any, ...]]:
    keys = "dimension_set, site, country, author_id, blog_id, bucket"
    sql = f"SELECT {keys}, groupBitmapMerge(blogs), sum(views) FROM {table} GROUP BY {keys} ORDER BY {keys}"
    return [tuple(row) for row in await engine.select(Statement(sql))]


async def test_reshaped_rollup_of_an_empty_database_gets_its_shape(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = rollup_objects()
    old = [replace(one, create=one.create.replace("Delta, ", "")) for one in current]
    monkeypatch.setattr(migrating, "rollup_objects", lambda: old)
    await migrate(engine)
    monkeypatch.setattr(migrating, "rollup_objects", lambda: current)
    await migrate(engine)
    codecs = "SELECT DISTINCT compression_codec FROM system.columns WHERE database = currentDatabase()"
    of_buckets = f"{codecs} AND name = 'bucket' AND compression_codec != ''"
    assert [row[0] for row in await engine.select(Statement(of_buckets))] == ["CODEC(Delta(4), ZSTD(1))"]


async def test_events_from_before_blogs_had_numbers_get_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(migrating, "ALL_GRAINS", ())
        before.setattr(migrating, "rollup_objects", list)
        await migrate(engine, numbered()[:2])
    await engine.execute(
        Statement(
            "INSERT INTO view_events (site, blog_id, viewer, viewed_at)"
            " SELECT 's' || number % 2, 'b' || intDiv(number, 2) % 3, 18446744073709551615 - number,"
            " toDateTime64('2025-01-31 23:59:50', 3, 'UTC') + number FROM numbers(24)"
        )
    )
    await migrate(engine)
    numbered_now = (
        "SELECT site, blog_id, groupUniqArray(blog_number), max(viewer) FROM view_events GROUP BY ALL ORDER BY ALL"
    )
    assert [(row[0], row[1], list(row[2])) for row in await engine.select(Statement(numbered_now))] == [
        (site, blog_id, [number]) for site in ("s0", "s1") for number, blog_id in enumerate(["b0", "b1", "b2"])
    ]
    assert [row[-2:] for row in await rows(engine, "views_by_year") if row[0] == "total"] == [(3, 12), (3, 12)]
    assert max(row[3] for row in await engine.select(Statement(numbered_now))) < 2**48


async def test_rollup_cut_off_while_it_was_filled_is_begun_anew(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = rollup_objects()
    monkeypatch.setattr(migrating, "rollup_objects", lambda: [one for one in everything if "year" not in one.name])
    monkeypatch.setattr(migrating, "ALL_GRAINS", [one for one in ALL_GRAINS if one.name != "year"])
    await migrate(engine)
    await engine.execute(Statement("INSERT INTO view_events (site, blog_id, viewed_at) SELECT 's', 'b', now64(3)"))
    # As after a kill: there is a table with some rows, and no word of it in the ledger.
    await engine.execute(Statement(next(one.create for one in everything if one.name == "views_by_year")))
    await engine.execute(Statement("INSERT INTO views_by_year (site, views) SELECT 's', 7"))
    monkeypatch.undo()
    assert "views_by_year" in await migrate(engine)
    assert [row[-1] for row in await rows(engine, "views_by_year")] == [1, 1, 1, 1]


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
