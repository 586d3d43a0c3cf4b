"""Conditions read as the SQL one would write; whatever the tree, that SQL keeps the rows the oracle keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from clickhouse.blogs import Author, Blog, upsert_authors, upsert_blogs
from clickhouse.conditions import (
    ANY_ROW,
    Compare,
    Condition,
    Either,
    Every,
    Field,
    Not,
    Operator,
    Within,
    columns,
    instants,
    sql,
)
from clickhouse.engine import Engine
from clickhouse.migrate import migrate
from clickhouse.statement import Statement, Value
from service.analytics.filters import parse
from service.events.parse import hash_viewer
from tests import strategies
from tests.oracle import Site
from tests.oracle_facts import Json, View
from tests.oracle_filters import passes
from tests.service import new_site
from tests.tree_strategies import trees

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
LATER = datetime(2025, 1, 2, 0, 0, 0, 500_000, tzinfo=UTC)

ET = Compare(Field.COUNTRY, Operator.IN, ("ET", "", "ET"))
TITLE = Compare(Field.BLOG_TITLE, Operator.EQ, ("Hello",))
OLD = Compare(Field.BLOG_CREATED_AT, Operator.LT, (1_000,))
ADA = Compare(Field.AUTHOR_USERNAME, Operator.EQ, ("ada",))
AUTHOR = Compare(Field.AUTHOR, Operator.GTE, ("u",))
VIEWER = Compare(Field.VIEWER, Operator.IN, (7, 8))

BLOGS = "t.blog_id IN (SELECT blog_id FROM blogs FINAL WHERE site = {site:String} AND "
AUTHORS = "t.author_id IN (SELECT author_id FROM authors FINAL WHERE site = {site:String} AND "

# fmt: off
AS_SQL: list[tuple[Condition, str, dict[str, Value]]] = [
    (ANY_ROW,                   "true", {}),
    (Either(()),                "false", {}),
    (ET,                        "t.country IN {f0:Array(String)}", {"f0": ["ET", ""]}),
    (Compare(Field.COUNTRY, Operator.IN, ()), "false", {}),
    (Compare(Field.BLOG, Operator.EQ, ("b",)), "t.blog_id = {f0:String}", {"f0": "b"}),
    (AUTHOR,                    "(t.author_id != '' AND t.author_id >= {f0:String})", {"f0": "u"}),
    (VIEWER,                    "t.viewer IN {f0:Array(UInt64)}", {"f0": [7, 8]}),
    (Not(ET),                   "NOT (t.country IN {f0:Array(String)})", {"f0": ["ET", ""]}),
    (Every((ET,)),              "t.country IN {f0:Array(String)}", {"f0": ["ET", ""]}),
    (TITLE,                     BLOGS + "title = {f0:String})", {"f0": "Hello"}),
    (Compare(Field.BLOG_TITLE, Operator.EQ, ("",)), BLOGS + "(title != '' AND title = {f0:String}))", {"f0": ""}),
    (Compare(Field.BLOG_TITLE, Operator.CONTAINS, ("x",)),
     BLOGS + "(title != '' AND position(caseFoldUTF8(title), caseFoldUTF8({f0:String})) > 0))", {"f0": "x"}),
    (OLD,                       BLOGS + "toUnixTimestamp64Milli(created_at) < {f0:Int64})", {"f0": 1_000}),
    (Within(None, None),        "true", {}),
    (Within(NOON, None),        "t.time >= {f0:DateTime64(3, 'UTC')}", {"f0": "2025-01-01 12:00:00"}),
    (Within(NOON, LATER),       "(t.time >= {f0:DateTime64(3, 'UTC')} AND t.time < {f1:DateTime64(3, 'UTC')})",
     {"f0": "2025-01-01 12:00:00", "f1": "2025-01-02 00:00:00.500"}),
    # One registry is looked into once; another, or a complement, is a subquery of its own.
    (Either((TITLE, OLD)),
     BLOGS + "(title = {f0:String} OR toUnixTimestamp64Milli(created_at) < {f1:Int64}))", {"f0": "Hello", "f1": 1_000}),
    (Every((TITLE, ADA)),
     f"({BLOGS}title = {{f0:String}}) AND {AUTHORS}username = {{f1:String}}))", {"f0": "Hello", "f1": "ada"}),
    (Every((TITLE, Not(OLD))),
     f"({BLOGS}title = {{f0:String}}) AND NOT ({BLOGS}toUnixTimestamp64Milli(created_at) < {{f1:Int64}})))",
     {"f0": "Hello", "f1": 1_000}),
]

LOOKS_AT: list[tuple[Condition, set[str], set[datetime]]] = [
    (ANY_ROW,                                    set(), set()),
    (ET,                                         {"country"}, set()),
    (Not(Either((TITLE, OLD))),                  {"blog_id"}, set()),
    (Every((ADA, VIEWER)),                       {"author_id", "viewer"}, set()),
    (Not(Every((Within(NOON, None), AUTHOR))),   {"author_id"}, {NOON}),
    (Either((Within(NOON, LATER), Within(None, NOON))), set(), {NOON, LATER}),
]
# fmt: on


@pytest.mark.parametrize(("condition", "text", "values"), AS_SQL)
def test_condition_as_sql(condition: Condition, text: str, values: dict[str, Value]) -> None:
    assert sql(condition, "t.time") == (text, values)


def test_without_viewers_nobody_is_a_viewer_and_the_same_values_are_bound() -> None:
    condition = Either((VIEWER, Not(VIEWER), ET))
    text, values = sql(condition, "t.created_at", viewer=None)
    assert text == "(false OR NOT (false) OR t.country IN {f2:Array(String)})"
    assert values == sql(condition, "t.viewed_at")[1]


@pytest.mark.parametrize(("condition", "looks_at", "borders"), LOOKS_AT)
def test_columns_and_instants(condition: Condition, looks_at: set[str], borders: set[datetime]) -> None:
    assert (set(columns(condition)), set(instants(condition))) == (looks_at, borders)


@dataclass(frozen=True)
class Viewed(View):
    viewer_id: str | None = None


@dataclass(frozen=True)
class World:
    zone: str
    authors: list[Json]
    blogs: list[Json]
    events: list[Json]
    trees: list[Json]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    pool = draw(strategies.pools())
    blogs = [draw(strategies.blogs(pool, blog_id)) for blog_id in pool.blogs if draw(st.booleans())]
    events = draw(st.lists(strategies.events(pool), min_size=1, max_size=15))
    asked = trees(
        zone=pool.zone,
        places=pool.places,
        blogs=pool.blogs,
        authors=pool.authors,
        usernames=pool.usernames,
        titles=[blog["title"] for blog in blogs if "title" in blog],
    )
    return World(
        zone=pool.zone,
        authors=[draw(strategies.authors(pool, author_id)) for author_id in pool.authors if draw(st.booleans())],
        blogs=blogs,
        events=[{**event, "event_id": None} for event in events],
        trees=draw(st.lists(asked, min_size=20, max_size=20)),
    )


@pytest.fixture
async def raw(engine: Engine) -> Engine:
    await migrate(engine)
    return engine


@given(world=worlds())
@settings(max_examples=20, print_blob=True)
async def test_sql_keeps_the_rows_the_oracle_keeps(raw: Engine, world: World) -> None:
    site, truth = new_site(), Site()
    truth.put_authors(world.authors)
    truth.put_blogs(world.blogs)
    truth.post(world.events)
    views = [
        Viewed(**{**asdict(view), "viewer_id": None if (sent := event.get("viewer_id")) is None else str(sent)})
        for view, event in zip(truth.views, world.events, strict=True)
    ]
    created = {
        id_: Viewed(id_, blog.author_id, blog.country, blog.created_at, viewer_id=None)
        for id_, blog in truth.blogs.items()
    }
    await tell(raw, site, truth, views)
    for tree in world.trees:
        note(f"{world.zone} {tree}")
        condition = parse(tree, ZoneInfo(world.zone), lambda viewer_id: hash_viewer(site, viewer_id))
        text, values = sql(condition, "t.viewed_at")
        rows = await raw.select(
            Statement(
                f"SELECT url FROM view_events AS t WHERE t.site = {{site:String}} AND {text}", {**values, "site": site}
            )
        )
        kept = {str(n) for n, view in enumerate(views) if passes(view, truth.blogs, truth.authors, tree, world.zone)}
        assert {row[0] for row in rows} == kept, text
        text, values = sql(condition, "t.created_at", viewer=None)
        rows = await raw.select(
            Statement(
                f"SELECT blog_id FROM blogs AS t FINAL WHERE t.site = {{site:String}} AND {text}",
                {**values, "site": site},
            )
        )
        kept = {id_ for id_, blog in created.items() if passes(blog, truth.blogs, truth.authors, tree, world.zone)}
        assert {row[0] for row in rows} == kept, text


async def tell(engine: Engine, site: str, truth: Site, views: list[Viewed]) -> None:
    """Each view's `url` is its number."""
    if truth.blogs:
        kept = truth.blogs.items()
        await upsert_blogs(engine, [Blog(site, id_, b.title, b.author_id, b.country, b.created_at) for id_, b in kept])
    if truth.authors:
        await upsert_authors(engine, [Author(site, id_, a.username, a.name) for id_, a in truth.authors.items()])
    insert = """\
INSERT INTO view_events (site, blog_id, author_id, country, viewer, viewed_at, url)
SELECT {site:String}, blog, author, country, viewer, fromUnixTimestamp64Milli(at, 'UTC'), toString(number)
FROM (SELECT 1)
ARRAY JOIN
    {blogs:Array(String)} AS blog,
    {authors:Array(String)} AS author,
    {countries:Array(String)} AS country,
    {viewers:Array(UInt64)} AS viewer,
    {times:Array(Int64)} AS at,
    range(toUInt64(length({times:Array(Int64)}))) AS number"""
    values: dict[str, Value] = {
        "site": site,
        "blogs": [view.blog_id for view in views],
        "authors": [view.author_id for view in views],
        "countries": [view.country for view in views],
        # Who is not named has some number that is nobody's.
        "viewers": [n if view.viewer_id is None else hash_viewer(site, view.viewer_id) for n, view in enumerate(views)],
        "times": [view.at for view in views],
    }
    await engine.execute(Statement(insert, values))


async def test_bucket_is_compared_with_a_fraction_of_a_second(engine: Engine) -> None:
    """What a DateTime bucket cannot hold still lies before or after it."""
    text, values = sql(Within(LATER, None), "t.bucket")
    buckets = "SELECT toDateTime('2025-01-02 00:00:00', 'UTC') + number AS bucket FROM numbers(3)"
    rows = await engine.select(
        Statement(f"SELECT toUnixTimestamp(bucket) % 60 FROM ({buckets}) AS t WHERE {text}", values)
    )
    assert [row[0] for row in rows] == [1, 2]


async def test_contains_ignores_case_as_casefold_does(engine: Engine) -> None:
    """Letters that lower() and ClickHouse's own case-insensitive search get wrong, or another length of."""
    texts = [
        "ΟΔΟΣ",
        "οδος",
        "οδοσα",
        "Straße",
        "STRASSE",
        "\u212a",
        "k",
        "İ",
        "ﬁn",
        "FIN",
        "Ა",
        "ა",
        "é",
        "E\u0301",
    ]
    known = "SELECT arrayJoin({texts:Array(String)}) AS author_id"
    for part in [*texts, "", "s"]:
        text, values = sql(Compare(Field.AUTHOR, Operator.CONTAINS, (part,)), "t.viewed_at")
        rows = await engine.select(
            Statement(f"SELECT author_id FROM ({known}) AS t WHERE {text}", {**values, "texts": [*texts, ""]})
        )
        assert [row[0] for row in rows] == [one for one in texts if part.casefold() in one.casefold()], part
