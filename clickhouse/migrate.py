"""Brings a database to this version's schema: numbered SQL files for the fixed tables, the registry for rollups."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from clickhouse.ddl import Object, rollup_objects
from clickhouse.engine import Engine
from clickhouse.errors import SchemaMismatch
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement, Value

EVENTS_MIGRATION = "0001_view_events"

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

    A migration cut off in the middle is taken up again: its CREATEs are repeated with IF NOT EXISTS.

    Raises:
        SchemaMismatch: an applied migration was edited, or a rollup table has another shape; nothing changed.
    """
    migrations = numbered() if migrations is None else migrations
    await engine.execute(Statement(_LEDGER))
    ledger = "SELECT name, argMax(checksum, applied_at) FROM schema_migrations GROUP BY name"
    applied: dict[str, str] = {row[0]: row[1] for row in await engine.select(Statement(ledger))}
    rollups = rollup_objects()
    _refuse_edited(migrations, applied)
    _refuse_reshaped(rollups, applied)
    await _refuse_latecomers(engine, rollups, applied)
    done = []
    for migration in migrations:
        if migration.name not in applied:
            for sql in migration.statements:
                await engine.execute(Statement(_repeatable(sql)))
            await _record(engine, migration.name, migration.checksum)
            done.append(migration.name)
    for rollup in rollups:
        if applied.get(rollup.name) != rollup.fingerprint:
            await _converge(engine, rollup, exists=rollup.name in applied)
            await _record(engine, rollup.name, rollup.fingerprint)
            done.append(rollup.name)
    return done


def _refuse_edited(migrations: list[Migration], applied: dict[str, str]) -> None:
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.name} was edited after it was applied; undo the edit and add a new migration"
            )


def _refuse_reshaped(rollups: list[Object], applied: dict[str, str]) -> None:
    for rollup in rollups:
        if rollup.select is None and applied.get(rollup.name, rollup.fingerprint) != rollup.fingerprint:
            raise SchemaMismatch(
                f"table {rollup.name} has another shape than this version's registry;"
                " rebuilding it from raw comes with `readership backfill`"
            )


async def _refuse_latecomers(engine: Engine, rollups: list[Object], applied: dict[str, str]) -> None:
    """A rollup that comes after the events would hold only those that come after it."""
    late = [rollup.name for rollup in rollups if rollup.select is None and rollup.name not in applied]
    if not late or EVENTS_MIGRATION not in applied:
        return
    events = await engine.select(Statement(f"SELECT count() FROM {EVENTS}"))
    if events[0][0]:
        raise SchemaMismatch(
            f"table {late[0]} is new and there are events already; filling it from raw comes with `readership backfill`"
        )


async def _converge(engine: Engine, rollup: Object, *, exists: bool) -> None:
    if exists and rollup.select is not None:
        # Swaps the query in place: no insert falls between a dropped view and its successor.
        await engine.execute(Statement(f"ALTER TABLE {rollup.name} MODIFY QUERY\n{rollup.select}"))
    else:
        await engine.execute(Statement(_repeatable(rollup.create)))


def _repeatable(sql: str) -> str:
    return re.sub(r"^CREATE (TABLE|MATERIALIZED VIEW) (?!IF)", r"CREATE \1 IF NOT EXISTS ", sql)


async def _record(engine: Engine, name: str, checksum: str) -> None:
    values: dict[str, Value] = {"name": name, "checksum": checksum}
    insert = "INSERT INTO schema_migrations (name, checksum) SELECT {name:String}, {checksum:String}"
    await engine.execute(Statement(insert, values))
