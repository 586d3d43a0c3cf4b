"""The ledger of imports: what file, how far, what became of its lines. Whose rows are in raw says `import_id`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from clickhouse.engine import Engine
from clickhouse.rollups import EVENTS
from clickhouse.statement import Statement, Value


class Status(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"

    @property
    def gone(self) -> bool:
        """What it brought is not counted any more, or will soon not be."""
        return self in (Status.UNDOING, Status.UNDONE)


class Import(NamedTuple):
    """One file, as one site's events. Times are epoch milliseconds, UTC."""

    id: int
    run: int
    """Counts those who read the file for it, one after the other: only the last may say how far it is."""
    site: str
    file_name: str
    format: str
    size: int
    digest: str
    options: str
    """JSON, its keys sorted: what else decides which events the file holds."""
    begun_at: int
    updated_at: int
    status: str = Status.RUNNING
    position: int = 0
    """So many lines (of Parquet, rows) are read, and the events among them stored."""
    offset: int = 0
    """Bytes of the file that those take, about."""
    lines: int = 0
    events: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: str = "{}"
    """JSON: how many lines were no event, by reason."""
    error: str = ""
    jobs: str = ""
    """Of the deletions that undo it, with commas between."""


_TIMES = ("begun_at", "updated_at")
_NUMBERS = ("id", "run")
_TEXTS = ("site", "file_name", "format", "digest", "options", "status", "skipped", "error", "jobs")

_SHOWN = ", ".join(f"toUnixTimestamp64Milli({name})" if name in _TIMES else name for name in Import._fields)


def _value(name: str) -> str:
    if name in _TIMES:
        return f"fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')"
    kind = "String" if name in _TEXTS else "UInt32" if name in _NUMBERS else "UInt64"
    return f"{{{name}:{kind}}}"


_INSERT = f"INSERT INTO imports ({', '.join(Import._fields)}) SELECT {', '.join(map(_value, Import._fields))}"


async def write_import(engine: Engine, one: Import) -> None:
    """Replaces the row of its id. Raises ClickHouseError."""
    await engine.execute(Statement(_INSERT, dict(one._asdict())))


async def find_import(engine: Engine, id_: int) -> Import | None:
    rows = await engine.select(Statement(f"SELECT {_SHOWN} FROM imports FINAL WHERE id = {{id:UInt32}}", {"id": id_}))
    return Import(*rows[0]) if rows else None


async def imports_of(engine: Engine, site: str, digest: str, format_: str, options: str) -> list[Import]:
    """Every import of the file with these bytes, read in this way, as this site's; the newest first."""
    sql = f"""\
SELECT {_SHOWN}
FROM imports FINAL
WHERE site = {{site:String}} AND digest = {{digest:String}} AND format = {{format:String}}
  AND options = {{options:String}}
ORDER BY id DESC"""
    values: dict[str, Value] = {"site": site, "digest": digest, "format": format_, "options": options}
    return [Import(*row) for row in await engine.select(Statement(sql, values))]


async def last_id(engine: Engine) -> int:
    """Of the import begun last; 0: there is none."""
    return int((await engine.select(Statement("SELECT max(id) FROM imports")))[0][0])


async def list_imports(engine: Engine, site: str | None, limit: int, offset: int) -> tuple[int, Sequence[Import]]:
    """How many there are, of one site or of all, and one page of them, newest first."""
    where = "WHERE site = {site:String}" if site is not None else ""
    values: dict[str, Value] = {} if site is None else {"site": site}
    total = await engine.select(Statement(f"SELECT count() FROM imports FINAL {where}", dict(values)))
    page = (
        f"SELECT {_SHOWN} FROM imports FINAL {where} ORDER BY id DESC LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"
    )
    rows = await engine.select(Statement(page, {**values, "limit": limit, "offset": offset}))
    return total[0][0], [Import(*row) for row in rows]


async def stored_rows(engine: Engine, id_: int) -> int:
    """How many events of raw an import brought: one column of it is read, 4 bytes a row before compression."""
    sql = f"SELECT count() FROM {EVENTS} WHERE import_id = {{id:UInt32}}"
    return int((await engine.select(Statement(sql, {"id": id_})))[0][0])


async def sites_of(engine: Engine, id_: int) -> set[str]:
    """Of the events it brought."""
    sql = f"SELECT DISTINCT site FROM {EVENTS} WHERE import_id = {{id:UInt32}}"
    return {row[0] for row in await engine.select(Statement(sql, {"id": id_}))}
