"""Brings a database to this version's schema: numbered SQL files for the fixed tables, the registry for rollups."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from clickhouse.ddl import rollup_objects
from clickhouse.engine import Engine
from clickhouse.errors import SchemaMismatch
from clickhouse.fill import fill, held
from clickhouse.retention import watermark
from clickhouse.rollups import ALL_GRAINS
from clickhouse.shapes import Grain
from clickhouse.statement import Statement, Value

_LEDGER = """\
CREATE TABLE IF NOT EXISTS schema_migrations
(
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (name, applied_at)"""


@dataclass(frozen=True)
class Migration:
    name: str
    statements: tuple[str, ...]
    checksum: str

    @classmethod
    def parse(cls, name: str, text: str) -> Migration:
        """Statements end with a semicolon at the end of a line; comments do not count for the checksum."""
        code = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
        statements = tuple(filter(None, (part.strip() for part in re.split(r";\s*$", code, flags=re.MULTILINE))))
        return cls(name, statements, hashlib.sha256(code.encode()).hexdigest()[:16])


def numbered() -> list[Migration]:
    """The migrations of this version, in order."""
    folder = files("clickhouse") / "migrations"
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return sorted(
        (Migration.parse(entry.name.removesuffix(".sql"), entry.read_text()) for entry in found),
        key=lambda migration: migration.name,
    )


async def migrate(engine: Engine, migrations: list[Migration] | None = None) -> list[str]:
    """Applies what is missing and returns the names of what it applied; a second run applies nothing.

    A rollup that is new, or has another shape than this version's, is made again from raw; nothing may be inserted
    meanwhile. A migration cut off in the middle is taken up again: CREATEs are repeated with IF NOT EXISTS, a rollup
    is begun anew.

    Raises:
        SchemaMismatch: an applied migration was edited, and nothing changed; or a rollup would have to be made again
            whose events have expired, and none was.
    """
    migrations = numbered() if migrations is None else migrations
    await engine.execute(Statement(_LEDGER))
    ledger = "SELECT name, argMax(checksum, applied_at) FROM schema_migrations GROUP BY name"
    applied: dict[str, str] = {row[0]: row[1] for row in await engine.select(Statement(ledger))}
    _refuse_edited(migrations, applied)
    database = (await engine.select(Statement("SELECT currentDatabase()")))[0][0]
    done = []
    for migration in migrations:
        if migration.name not in applied:
            for sql in migration.statements:
                await engine.execute(Statement(_repeatable(sql).replace("{database}", database)))
            await _record(engine, migration.name, migration.checksum)
            done.append(migration.name)
    return done + await _converge(engine, applied)


def _refuse_edited(migrations: list[Migration], applied: dict[str, str]) -> None:
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.name} was edited after it was applied; undo the edit and add a new migration"
            )


async def _converge(engine: Engine, applied: dict[str, str]) -> list[str]:
    """Makes rollups of another shape again from raw, and puts every view in place.

    While a table is filled no view may read from it; so all are dropped first. The ledger hears of it last: what is
    cut off is begun anew.
    """
    objects = rollup_objects()
    stale = {one.name for one in objects if applied.get(one.name) != one.fingerprint}
    tables = [grain for grain in ALL_GRAINS if grain.table in stale]
    for grain in tables:
        if await watermark(engine, grain.dataset):
            raise SchemaMismatch(
                f"{grain.table} has another shape in this version, and rows of raw to make it of have expired"
            )
    found = Statement("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%View'")
    views = {row[0] for row in await engine.select(found)} & applied.keys()
    obsolete = views if tables else views - {one.name for one in objects}
    for name in sorted(obsolete):
        await engine.execute(Statement(f"DROP VIEW IF EXISTS {name}"))
    for grain in tables:
        await _make(engine, grain, known=grain.table in applied)
    for view in [one for one in objects if one.select is not None]:
        if view.name not in views - obsolete:
            await engine.execute(Statement(_repeatable(view.create)))
        elif view.name in stale:
            # Swaps the query in place: no insert falls between a dropped view and its successor.
            await engine.execute(Statement(f"ALTER TABLE {view.name} MODIFY QUERY\n{view.select}"))
    for one in objects:
        if one.name in stale:
            await _record(engine, one.name, one.fingerprint)
    return [one.name for one in objects if one.name in stale]


async def _make(engine: Engine, grain: Grain, *, known: bool) -> None:
    """Creates a rollup's table and fills it. In a database that is new altogether nothing is dropped: another process
    may be doing the same. `known`: the ledger has heard of the table, in another shape."""
    create = next(one.create for one in rollup_objects() if one.name == grain.table)
    events = await held(engine, grain.dataset)
    if events or known:
        await engine.execute(Statement(f"DROP TABLE IF EXISTS {grain.table}"))
    await engine.execute(Statement(_repeatable(create)))
    if events:
        await fill(engine, grain, grain.table, events)


def _repeatable(sql: str) -> str:
    return re.sub(r"^CREATE (TABLE|MATERIALIZED VIEW) (?!IF)", r"CREATE \1 IF NOT EXISTS ", sql)


async def _record(engine: Engine, name: str, checksum: str) -> None:
    values: dict[str, Value] = {"name": name, "checksum": checksum}
    insert = "INSERT INTO schema_migrations (name, checksum) SELECT {name:String}, {checksum:String}"
    await engine.execute(Statement(insert, values))
