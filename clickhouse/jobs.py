"""The tables of long work, `jobs` and `job_units`: written row by row, read as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from clickhouse import native
from clickhouse.engine import Engine
from clickhouse.statement import Statement, portions


class JobRow(NamedTuple):
    """Times are epoch milliseconds, 0 is never; `parameters` is JSON. Of two rows the higher version counts."""

    id: str
    kind: str
    parameters: str
    requested_at: int
    cancelled_at: int
    version: int


class UnitRow(NamedTuple):
    """One unit of a job, in the order of `stage` and `position`; of two rows the higher version, then the later."""

    job: str
    name: str
    task: str
    unit_group: str
    stage: int
    position: int
    arguments: str
    rows: int
    status: str
    attempt: int
    failures: int
    due_at: int
    started_at: int
    finished_at: int
    rows_done: int
    error: str
    note: str
    version: int


async def put_job(engine: Engine, job: JobRow) -> None:
    await _insert(engine, "jobs", JobRow._fields, [job])


async def put_units(engine: Engine, units: Sequence[UnitRow]) -> None:
    """All of them or none; at least one."""
    await _insert(engine, "job_units", UnitRow._fields, units)


async def find_job(engine: Engine, id_: str) -> JobRow | None:
    rows = await engine.select(Statement(f"{_SELECT_JOB} WHERE id = {{id:String}}", {"id": id_}))
    return JobRow(*rows[0]) if rows else None


async def last_job(engine: Engine, prefix: str) -> JobRow | None:
    """Of the jobs whose ids are the prefix and a number, the one with the highest."""
    sql = f"""\
{_SELECT_JOB}
WHERE startsWith(id, {{prefix:String}})
ORDER BY toUInt32OrZero(substring(id, length({{prefix:String}}) + 1)) DESC
LIMIT 1"""
    rows = await engine.select(Statement(sql, {"prefix": prefix}))
    return JobRow(*rows[0]) if rows else None


async def list_jobs(engine: Engine, kind: str, limit: int, offset: int) -> tuple[int, list[JobRow]]:
    """How many there are of a kind ('': of all), and one page of them, newest first."""
    where = "WHERE {kind:String} IN ('', kind)"
    total = await engine.select(Statement(f"SELECT count() FROM jobs FINAL {where}", {"kind": kind}))
    page = f"{_SELECT_JOB} {where} ORDER BY requested_at DESC, id LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"
    rows = await engine.select(Statement(page, {"kind": kind, "limit": limit, "offset": offset}))
    return total[0][0], [JobRow(*row) for row in rows]


async def open_jobs(engine: Engine) -> list[JobRow]:
    """Those not cancelled that have units which are neither done nor failed."""
    sql = f"""\
{_SELECT_JOB}
WHERE toUnixTimestamp64Milli(cancelled_at) = 0
  AND id IN (SELECT job FROM job_units FINAL WHERE status IN ('queued', 'running'))
ORDER BY requested_at, id"""
    return [JobRow(*row) for row in await engine.select(Statement(sql))]


async def cancelled_jobs(engine: Engine, ids: Iterable[str]) -> set[str]:
    """Those of a few jobs that were cancelled."""
    sql = "SELECT id FROM jobs WHERE id IN {ids:Array(String)} AND toUnixTimestamp64Milli(cancelled_at) != 0"
    return {row[0] for row in await engine.select(Statement(sql, {"ids": list(ids)}))}


async def find_units(engine: Engine, jobs: Iterable[str]) -> list[UnitRow]:
    """All units of these jobs, each job's in its order."""
    sql = f"{_SELECT_UNIT} WHERE job IN {{jobs:Array(String)}} ORDER BY job, stage, position, name"
    found: list[UnitRow] = []
    for portion in portions(jobs, lambda job: (job,)):
        found += [UnitRow(*row) for row in await engine.select(Statement(sql, {"jobs": portion}))]
    return found


async def delete_ended(engine: Engine, before: int) -> int:
    """Forgets jobs that were asked for before an instant (epoch ms) and of which nothing is to be done; how many."""
    sql = """\
SELECT id
FROM jobs FINAL
WHERE requested_at < fromUnixTimestamp64Milli({before:Int64}, 'UTC')
  AND (toUnixTimestamp64Milli(cancelled_at) != 0
    OR id NOT IN (SELECT job FROM job_units FINAL WHERE status IN ('queued', 'running')))"""
    ids = [row[0] for row in await engine.select(Statement(sql, {"before": before}))]
    for portion in portions(ids, lambda id_: (id_,)):
        # The job first: units without one are none.
        for table, column in (("jobs", "id"), ("job_units", "job")):
            delete = f"ALTER TABLE {table} DELETE WHERE {column} IN {{ids:Array(String)}} SETTINGS mutations_sync = 2"
            await engine.execute(Statement(delete, {"ids": portion}))
    return len(ids)


_TIMES = frozenset({"requested_at", "cancelled_at", "due_at", "started_at", "finished_at"})


def _select(fields: Sequence[str], table: str) -> str:
    columns = (f"toUnixTimestamp64Milli({name})" if name in _TIMES else name for name in fields)
    return f"SELECT {', '.join(columns)} FROM {table} FINAL"


_SELECT_JOB = _select(JobRow._fields, "jobs")
_SELECT_UNIT = _select(UnitRow._fields, "job_units")


async def _insert(engine: Engine, table: str, fields: Sequence[str], rows: Sequence[tuple[str | int, ...]]) -> None:
    columns = [_column(name, values) for name, values in zip(fields, zip(*rows, strict=True), strict=True)]
    await engine.insert(table, fields, native.block(len(rows), columns), {"async_insert": "0"})


def _column(name: str, values: Sequence[Any]) -> native.Column:
    if name in _TIMES:
        return native.Column(name, "DateTime64(3, 'UTC')", native.int64s(values))
    if isinstance(values[0], int):
        return native.Column(name, "UInt64", native.uint64s(values))
    return native.Column(name, "String", native.strings(values))
