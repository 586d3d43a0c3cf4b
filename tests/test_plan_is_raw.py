"""Whatever the plan, the numbers are those of raw: 2,000 events over three years, any question."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from clickhouse import render
from clickhouse.engine import Dsn, Engine, Row, open_engine
from clickhouse.existing import Existing
from clickhouse.instants import epoch_s, from_epoch_ms
from clickhouse.periods import Interval, periods
from clickhouse.plan import Plan, plan
from clickhouse.question import Distinct, Group, Question
from clickhouse.rollups import GRAINS
from service.analytics.filters import parse
from service.events.parse import hash_viewer
from tests.conftest import NewDsn
from tests.oracle_calendar import DAY, HOUR, MINUTE, instant
from tests.service import Json, open_service
from tests.strategies import ZONES
from tests.tree_strategies import trees

FIRST, LAST = instant("2022-01-01T00:00:00Z"), instant("2025-01-01T00:00:00Z")
BLOGS, AUTHORS, COUNTRIES = [f"b{n}" for n in range(30)], [f"u{n}" for n in range(5)], ["ET", "US", "DE", ""]
TITLES = ["Post", "post mortem", "Ähnlich"]

# Half of all events stand within two minutes of where some grain's bucket ends.
WIDTHS = (15 * MINUTE, HOUR, DAY, 7 * DAY, 365 * DAY)


def events(count: int) -> list[Json]:
    chance = random.Random(7)
    found = []
    for _ in range(count):
        at = chance.randrange(FIRST, LAST)
        if chance.random() < 0.5:
            width = chance.choice(WIDTHS)
            at = min(max(at // width * width + chance.choice([-1, 0, 1, MINUTE, -MINUTE]), FIRST), LAST - 1)
        blog = chance.choice(BLOGS)
        found.append(
            {
                "blog_id": blog,
                "author_id": chance.choice(AUTHORS) if chance.random() < 0.1 else AUTHORS[int(blog[1:]) % 5],
                "country": chance.choice(COUNTRIES),
                "viewer_id": chance.choice(["v", "7", "w"]),
                "viewed_at": at,
            }
        )
    return found


@pytest.fixture(scope="session")
async def three_years(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Engine]:
    dsn = new_dsn()
    async with open_service(dsn, redis_url, folder) as service:
        await service.put("/api/authors", [{"author_id": one, "username": f"name {one}"} for one in AUTHORS[:3]])
        titled = [{"blog_id": one, "title": TITLES[n % 3], "country": "ET"} for n, one in enumerate(BLOGS[:20])]
        await service.put("/api/blogs", [{**one, "created_at": "2023-05-06T07:08:09Z"} for one in titled])
        await service.post(events(2_000))
        engine = await open_engine(Dsn.parse(dsn))
        yield engine
        await engine.close()


near = st.sampled_from(
    [FIRST, LAST, *(instant(f"{year}-{month:02}-01T00:00Z") for year in (2022, 2024) for month in (1, 3, 7))]
)
moments = st.integers(FIRST - DAY, LAST + DAY) | st.builds(
    int.__add__, near, st.sampled_from([0, 1, -1, MINUTE, HOUR, -HOUR, DAY, 11 * HOUR + 15 * MINUTE])
)  # fmt: skip


# Of more periods a statement holds too many edges.
_WIDEST = {Interval.MINUTE: 3 * HOUR, Interval.HOUR: 9 * DAY}


@st.composite
def questions(draw: st.DrawFn) -> tuple[Question, Json | None]:
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    start, end = sorted([draw(moments), draw(moments)])
    end = max(end, start + 1)
    interval = draw(st.sampled_from([None, None, *Interval]))
    if interval in _WIDEST:
        end = min(end, start + _WIDEST[interval])
    edges: tuple[datetime, ...] = ()
    first, last = from_epoch_ms(start), from_epoch_ms(end)
    if interval is not None:
        edges = tuple(max(period.start, first) for period in periods(interval, zone, first, last))
    tree = None
    if draw(st.booleans()):
        tree = draw(
            trees(
                zone=zone.key,
                places=[start, end, FIRST, LAST],
                blogs=BLOGS,
                authors=AUTHORS,
                usernames=["name u0", "name u1"],
                titles=TITLES,
            )
        )
    open_sides = interval is None and draw(st.booleans())
    question = Question(
        "default",
        None if open_sides and draw(st.booleans()) else first,
        None if open_sides and draw(st.booleans()) else last,
        draw(st.sampled_from([None, *Group])),
        edges,
        **({} if tree is None else {"condition": parse(tree, zone, lambda viewer: hash_viewer("default", viewer))}),
        distinct=draw(st.sampled_from(Distinct)),
    )
    return question, tree


# How large the tables are thought to be decides which segments a plan spares, and must not decide the numbers.
SIZES = [
    Existing(),
    *(
        Existing(
            rows={("view_events", ""): events}
            | {(grain.table, one.name): each for grain in GRAINS for one in grain.dimension_sets}
        )
        for events, each in [(10, 1), (40_000, 12), (4_000_000, 300), (4_000_000, 1)]
    ),
]


@given(asked=questions(), existing=st.sampled_from(SIZES))
@settings(max_examples=200, print_blob=True)
async def test_any_plan_answers_what_raw_answers(
    three_years: Engine, asked: tuple[Question, Json | None], existing: Existing
) -> None:
    question, tree = asked
    note(f"{question} {tree}")
    found = await answer(three_years, question, plan(question, existing))
    assert found == await answer(three_years, question, plan(question, grains=()))


async def answer(engine: Engine, question: Question, found: Plan) -> list[Row]:
    if question.group is None and question.edges:
        return [tuple(row) for row in await engine.ask(render.by_period(question, found))]
    if question.group is None:
        return [tuple(row) for row in await engine.ask(render.totals(question, found))]
    return [tuple(row) for row in await engine.ask(render.groups(question, found, 100_000, 0))]


async def test_quarter_hours_on_both_sides_of_an_hour(three_years: Engine) -> None:
    at = next(event["viewed_at"] for event in events(2_000) if event["viewed_at"] % HOUR < 15 * MINUTE)
    hour = from_epoch_ms(at // HOUR * HOUR)
    quarter = timedelta(minutes=15)
    question = Question("default", hour - quarter, hour + quarter, edges=(hour - quarter, hour))
    found = await answer(three_years, question, plan(question))
    assert found == await answer(three_years, question, plan(question, grains=()))
    assert found[-1][0] == epoch_s(hour)
