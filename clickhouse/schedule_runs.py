"""Which jobs schedules began, and what these are about."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from clickhouse.engine import Engine
from clickhouse.spans import Span
from clickhouse.statement import Statement


@dataclass(frozen=True)
class Run:
    """`at`, `start` and `end` are epoch milliseconds. A name's first run has no job: it says that nothing before `end`
    is to be caught up."""

    name: str
    at: int
    job: str
    start: int
    end: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


async def put_run(engine: Engine, run: Run) -> None:
    insert = """\
INSERT INTO schedule_runs (name, at, job, start, end)
SELECT
    {name:String},
    fromUnixTimestamp64Milli({at:Int64}, 'UTC'),
    {job:String},
    fromUnixTimestamp64Milli({start:Int64}, 'UTC'),
    fromUnixTimestamp64Milli({end:Int64}, 'UTC')"""
    await engine.execute(Statement(insert, asdict(run)))


async def last_runs(engine: Engine) -> dict[str, Run]:
    """The last of each name."""
    rows = await engine.select(
        Statement(
            """\
SELECT
    name,
    toUnixTimestamp64Milli(at) AS began,
    job,
    toUnixTimestamp64Milli(start),
    toUnixTimestamp64Milli(end)
FROM schedule_runs
ORDER BY name, began DESC, job DESC
LIMIT 1 BY name"""
        )
    )
    return {row[0]: Run(*row) for row in rows}
