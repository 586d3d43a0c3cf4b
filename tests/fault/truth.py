"""ClickHouse itself, read without the service, against the books: raw by its ids, every rollup row by its numbers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clickhouse.rollups import GRAINS, MEASURES
from clickhouse.shapes import DimensionSet, Grain, Measure
from tests.fault.oracle import Fact, Ledger
from tests.oracle_calendar import instant, moment
from tests.readme import README

Rows = list[list[Any]]

# chDB opens one folder a process, and this process may have another one open.
_READ = """
import asyncio, json, sys
from clickhouse.engine import Dsn, open_engine
from clickhouse.statement import Statement

async def main():
    engine = await open_engine(Dsn.parse(sys.argv[1]))
    for sql in sys.argv[2:]:
        print(json.dumps([list(row) for row in await engine.select(Statement(sql))]))
    await engine.close()

asyncio.run(main())
"""

_RAW = (
    "SELECT toString(event_id), toString(site), toString(blog_id), toString(author_id), toString(country),"
    " toUnixTimestamp64Milli(viewed_at) FROM view_events"
)


@dataclass(frozen=True)
class Verdict:
    """Nothing but `stored` may be other than empty."""

    stored: int
    lost: list[str]
    doubled: list[str]
    never_sent: list[str]
    refused_but_stored: list[str]
    altered: list[str]
    wrong_rollups: list[str]

    @property
    def wrong(self) -> int:
        """Rows that should not be there or say something else."""
        return sum(map(len, (self.never_sent, self.refused_but_stored, self.altered, self.wrong_rollups)))

    @property
    def faults(self) -> dict[str, list[str]]:
        """The first few of each kind."""
        kinds = ("lost", "doubled", "never_sent", "refused_but_stored", "altered", "wrong_rollups")
        return {f"{kind}: {len(found)}": found[:5] for kind in kinds if (found := getattr(self, kind))}


async def compare(dsn: str, ledger: Ledger) -> Verdict:
    """The service must be stopped where ClickHouse is embedded."""
    raw, *rollups = await read(dsn, _RAW, *map(_rollup, GRAINS))
    count = Counter(row[0] for row in raw)
    known = {row[0]: ledger.sent[row[0]] for row in raw if row[0] in ledger.sent}
    altered = [str(row) for row in raw if row[0] in known and (*row[1:],) != _stored(known[row[0]])]
    return Verdict(
        stored=len(count),
        lost=sorted(ledger.acknowledged - count.keys()),
        doubled=sorted(event_id for event_id, times in count.items() if times > 1),
        never_sent=sorted(count.keys() - ledger.sent.keys()),
        refused_but_stored=sorted(ledger.not_taken & count.keys()),
        altered=altered,
        wrong_rollups=[
            text for grain, rows in zip(GRAINS, rollups, strict=True) for text in _wrong(grain, rows, known.values())
        ],
    )


async def read(dsn: str, *statements: str) -> list[Rows]:
    """The rows of each SELECT."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _READ, dsn, *statements),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=README.parent,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return [json.loads(line) for line in out.splitlines()]


def _stored(fact: Fact) -> tuple[Any, ...]:
    """Viewers are stored as a hash; rollups tell whether they are right."""
    return (fact.site, fact.blog_id, fact.author_id, fact.country, fact.viewed_at)


_DIMENSIONS = ("country", "author_id", "blog_id")


def _rollup(grain: Grain) -> str:
    keys = ["dimension_set", "site", *_DIMENSIONS]
    columns = [*(f"toString({key})" for key in keys), "toUnixTimestamp(bucket) * 1000"]
    columns += [measure.read.format(measure.name) for measure in _measures(grain)]
    return f"SELECT {', '.join(columns)} FROM {grain.table} GROUP BY {', '.join(keys)}, bucket"


def _measures(grain: Grain) -> list[Measure]:
    return [measure for measure in MEASURES if grain.name in measure.grains]


def _wrong(grain: Grain, rows: Rows, facts: Iterable[Fact]) -> list[str]:
    found = {tuple(row[:6]): row[6:] for row in rows}
    expected = _expected(grain, Counter(facts))
    return [
        f"{grain.table} {key}: {found.get(key)} and not {expected.get(key)}"
        for key in sorted(found.keys() | expected.keys())
        if found.get(key) != expected.get(key)
    ]


def _expected(grain: Grain, facts: Counter[Fact]) -> dict[tuple[Any, ...], list[int]]:
    groups: dict[tuple[Any, ...], Counter[Fact]] = defaultdict(Counter)
    starts = {at: instant(_START[grain.name](moment(at)).isoformat()) for at in {fact.viewed_at for fact in facts}}
    for fact, times in facts.items():
        for one in grain.dimension_sets:
            kept = (getattr(fact, name) if name in one.columns else "" for name in _DIMENSIONS)
            groups[(one.name, fact.site, *kept, starts[fact.viewed_at])][fact] += times
    sets = {one.name: one for one in grain.dimension_sets}
    return {
        key: [_number(measure, sets[key[0]], group) for measure in _measures(grain)] for key, group in groups.items()
    }


def _number(measure: Measure, of: DimensionSet, facts: Counter[Fact]) -> int:
    return _NUMBERS[measure.name](facts) if of.name in measure.carried_by else 0


# Viewers are few enough for their sketch to be exact.
_NUMBERS: dict[str, Callable[[Counter[Fact]], int]] = {
    "views": lambda facts: facts.total(),
    "blogs": lambda facts: len({fact.blog_id for fact in facts}),
    "viewers": lambda facts: len({fact.viewer_id for fact in facts}),
}


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


_START: dict[str, Callable[[datetime], datetime]] = {
    "quarter_hour": lambda at: at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0),
    "hour": lambda at: at.replace(minute=0, second=0, microsecond=0),
    "six_hours": lambda at: _day(at).replace(hour=at.hour // 6 * 6),
    "day": _day,
    "week": lambda at: _day(at) - timedelta(days=at.weekday()),
    "month": lambda at: _day(at).replace(day=1),
    "year": lambda at: _day(at).replace(month=1, day=1),
}
