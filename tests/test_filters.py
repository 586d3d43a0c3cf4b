"""Trees as they are sent: what each asks for, and for each fault the path and the words that name it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clickhouse.conditions import ANY_ROW, Compare, Condition, Either, Every, Field, Not, Operator, Within
from clickhouse.instants import epoch_ms
from service import continents, countries
from service.analytics.filters import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_TEXT, MAX_VALUES, flat, parse
from service.analytics.parameters import Top
from service.events.parse import hash_viewer
from service.problems import Invalid

KATHMANDU = ZoneInfo("Asia/Kathmandu")  # 5:45 ahead


def comparison(key: str, field: Any, value: Any) -> dict[str, Any]:
    return {key: {"field": field, "value": value}}


def read(tree: Any) -> Condition:
    return parse(tree, KATHMANDU, viewer_hash=len)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def countries_in(*codes: str) -> Compare:
    return Compare(Field.COUNTRY, Operator.IN, codes)


DAY = Within(at("2024-12-31T18:15"), at("2025-01-01T18:15"))
ET = comparison("eq", "country", "ET")

# fmt: off
GOOD: list[tuple[Any, Condition]] = [
    (ET,                                                       countries_in("ET")),
    (json.dumps(ET),                                           countries_in("ET")),
    ({"and": [ET]},                                            Every((countries_in("ET"),))),
    ({"or": [ET, {"not": ET}]},                                Either((countries_in("ET"), Not(countries_in("ET"))))),
    (comparison("ne", "country.code", "et"),                   Not(countries_in("ET"))),
    (comparison("eq", "country", ""),                          countries_in("")),
    (comparison("in", "country", ["us", "", "ET", "US"]),      countries_in("", "ET", "US")),
    (comparison("lt", "country", "ae"),                        countries_in("AD")),
    (comparison("gte", "country", "ZW"),                       countries_in("ZW")),
    (comparison("gt", "country", "ZW"),                        countries_in()),
    (comparison("eq", "country.name", "Ethiopia"),             countries_in("ET")),
    (comparison("eq", "country.name", "Unknown"),              countries_in("")),
    (comparison("contains", "country.name", "KNOW"),           countries_in("")),
    (comparison("contains", "country.name", "united states"),  countries_in("US")),
    (comparison("lte", "country.name", "Albania"),             countries_in("AF", "AL")),
    (comparison("eq", "country.continent", "an"),              countries_in("AQ")),
    (comparison("in", "country.continent", ["ANTARCTICA"]),    countries_in("AQ")),
    (comparison("lt", "country.continent", "Antarctica "),
     countries_in(*sorted(c for c, of in continents.OF_COUNTRY.items() if of in {"AF", "AN"}))),
    (comparison("contains", "country.continent", "america"),
     countries_in(*sorted(c for c, of in continents.OF_COUNTRY.items() if of in {"NA", "SA"}))),
    (comparison("eq", "blog.country", "gb"),                   Compare(Field.BLOG_COUNTRY, Operator.IN, ("GB",))),
    (comparison("eq", "blog.id", 42),                          Compare(Field.BLOG, Operator.EQ, ("42",))),
    (comparison("in", "user.id", ["u", -1]),                   Compare(Field.AUTHOR, Operator.IN, ("u", "-1"))),
    (comparison("lt", "author.id", "u"),                       Compare(Field.AUTHOR, Operator.LT, ("u",))),
    (comparison("eq", "blog.author.id", "u"),                  Compare(Field.AUTHOR, Operator.EQ, ("u",))),
    (comparison("contains", "blog.title", ""),                 Compare(Field.BLOG_TITLE, Operator.CONTAINS, ("",))),
    (comparison("gt", "author.username", "ada"),               Compare(Field.AUTHOR_USERNAME, Operator.GT, ("ada",))),
    (comparison("eq", "blog.author.username", "ada"),          Compare(Field.AUTHOR_USERNAME, Operator.EQ, ("ada",))),
    (comparison("eq", "viewed_at", "2025-01-01"),              DAY),
    (comparison("ne", "viewed_at", "2025-01-01"),              Not(DAY)),
    (comparison("lt", "viewed_at", "2025-01-01"),              Within(None, DAY.start)),
    (comparison("lte", "viewed_at", "2025-01-01"),             Within(None, DAY.end)),
    (comparison("gt", "viewed_at", "2025-01-01"),              Within(DAY.end, None)),
    (comparison("gte", "viewed_at", "2025-01-01"),             Within(DAY.start, None)),
    (comparison("in", "viewed_at", ["2025-01-01", "2025-01-01T00:00:00+05:45"]),
     Either((DAY, Within(at("2024-12-31T18:15"), at("2024-12-31T18:15:00.001"))))),
    (comparison("lte", "viewed_at", "2025-01-01T12:00:00.5Z"), Within(None, at("2025-01-01T12:00:00.501"))),
    # Between two milliseconds there is nothing; before and after it is all the rest.
    (comparison("eq", "viewed_at", "2025-01-01T12:00:00.0005Z"),
     Within(at("2025-01-01T12:00:00.001"), at("2025-01-01T12:00:00.001"))),
    (comparison("gt", "viewed_at", "2025-01-01T12:00:00.0005Z"), Within(at("2025-01-01T12:00:00.001"), None)),
    (comparison("lt", "viewed_at", "1066-10-14"),              Within(None, at("1970-01-01"))),
    (comparison("gt", "viewed_at", "9998-12-31"),              Within(at("2106-01-01"), None)),
    (comparison("gte", "blog.created_at", "2025-01-01T00:00:00Z"),
     Every((Compare(Field.BLOG_CREATED_AT, Operator.GTE, (epoch_ms(at("2025-01-01")),)),))),
    (comparison("eq", "blog.created_at", "1970-01-02"),
     Every((Compare(Field.BLOG_CREATED_AT, Operator.GTE, (66_600_000,)),
            Compare(Field.BLOG_CREATED_AT, Operator.LT, (66_600_000 + 86_400_000,))))),
    (comparison("eq", "viewer_id", "abc"),                     Compare(Field.VIEWER, Operator.IN, (3,))),
    (comparison("ne", "viewer_id", 12345),                     Not(Compare(Field.VIEWER, Operator.IN, (5,)))),
    (comparison("in", "viewer_id", ["a", ""]),                 Compare(Field.VIEWER, Operator.IN, (1,))),
    (comparison("eq", "viewer_id", ""),                        Compare(Field.VIEWER, Operator.IN, ())),
]

ONE_KEY = "must be an object with exactly one key of"
BAD: list[tuple[Any, str, str]] = [
    # tree                                             path                           message
    ("",                                               "filters",                     "is not JSON"),
    ("{",                                              "filters",                     "is not JSON"),
    ('{"not":' * 100_000,                              "filters",                     "is not JSON"),
    ("9" * 5_000,                                      "filters",                     "is not JSON"),
    ('{"eq": 1, "eq": 2}',                             "filters",                     "has a key twice"),
    ("null",                                           "filters",                     ONE_KEY),
    ("[]",                                             "filters",                     ONE_KEY),
    (7,                                                "filters",                     ONE_KEY),
    ({},                                               "filters",                     ONE_KEY),
    ({"and": [ET], "or": [ET]},                        "filters",                     ONE_KEY),
    ({"xor": [ET]},                                    "filters",                     '"xor" is no operator'),
    ({"\ud800": [ET]},                                 "filters",                     '"\\ud800" is no operator'),
    ({"and": []},                                      "filters.and",                 "a list of at least one node"),
    ({"or": ET},                                       "filters.or",                  "a list of at least one node"),
    ({"and": [ET, "x"]},                               "filters.and[1]",              ONE_KEY),
    ({"not": [ET]},                                    "filters.not",                 ONE_KEY),
    ({"eq": ["country", "ET"]},                        "filters.eq",                  "must be an object like"),
    ({"eq": {"field": "country"}},                     "filters.eq.value",            "is required"),
    ({"eq": {"value": "ET"}},                          "filters.eq.field",            "is required"),
    ({"eq": {**ET["eq"], "case": 1}},                  "filters.eq",                  '"case" is unknown'),
    ({"and": [ET, {"not": comparison("eq", "blog.secret", "x")}]},
     "filters.and[1].not.eq.field", '"blog.secret" is no field; use one of country, country.code,'),
    (comparison("eq", "country__code", "ET"),          "filters.eq.field",            '"country__code" is no field'),
    (comparison("eq", ["country"], "ET"),              "filters.eq.field",            "that is no field"),
    (comparison("eq", "\ud800", "ET"),                 "filters.eq.field",            '"\\ud800" is no field'),
    (comparison("in", "blog.id", []),                  "filters.in.value",            "a list of at least one value"),
    (comparison("in", "blog.id", "b"),                 "filters.in.value",            "a list of at least one value"),
    (comparison("in", "blog.id", ["b", ["b"]]),        "filters.in.value[1]",         "must be a string or an integer"),
    (comparison("eq", "blog.id", ["b"]),               "filters.eq.value",            "must be a string or an integer"),
    (comparison("eq", "blog.id", True),                "filters.eq.value",            "must be a string or an integer"),
    (comparison("eq", "blog.id", None),                "filters.eq.value",            "must be a string or an integer"),
    (comparison("eq", "blog.id", 1 << 2_000),          "filters.eq.value",            "must be a string or an integer"),
    ('{"eq": {"field": "blog.id", "value": NaN}}',     "filters.eq.value",            "must be a string or an integer"),
    ('{"eq": {"field": "blog.id", "value": 1e400}}',   "filters.eq.value",            "must be a string or an integer"),
    (comparison("eq", "blog.title", 1),                "filters.eq.value",            "must be a string"),
    (comparison("eq", "blog.title", "\ud800"),         "filters.eq.value",            "control characters"),
    (comparison("eq", "blog.title", "a\0"),            "filters.eq.value",            "control characters"),
    (comparison("eq", "blog.title", "x" * (MAX_TEXT + 1)), "filters.eq.value",        "at most 1000 characters"),
    (comparison("eq", "country", "USA"),               "filters.eq.value",            "ISO 3166-1 alpha-2"),
    (comparison("in", "country", ["ET", "ZZ"]),        "filters.in.value[1]",         "ISO 3166-1 alpha-2"),
    (comparison("ne", "blog.country", "ß"),            "filters.ne.value",            "ISO 3166-1 alpha-2"),
    (comparison("eq", "country.name", "Turkey"),       "filters.eq.value",            "the English name of a country"),
    (comparison("eq", "country.continent", "America"), "filters.eq.value",            "AF, AN, AS, EU, NA, OC, SA"),
    (comparison("eq", "viewed_at", 1735689600000),     "filters.eq.value",            "must be a string"),
    (comparison("eq", "viewed_at", "2025-02-30"),      "filters.eq.value",            "must be a date"),
    (comparison("eq", "viewed_at", "2025-01-01T00:00"), "filters.eq.value",           "must be a date"),
    (comparison("eq", "viewed_at", "0001-01-01"),      "filters.eq.value",            "must be a date"),
    (comparison("in", "viewed_at", ["9999-12-31"]),    "filters.in.value[0]",         "must be a date"),
    (comparison("gte", "blog.created_at", "soon"),     "filters.gte.value",           "must be a date"),
    (comparison("contains", "viewed_at", "2025-01-01"), "filters.contains",           "is not for times"),
    (comparison("lt", "viewer_id", "v"),               "filters.lt",                  "is not for viewer_id"),
    (comparison("contains", "viewer_id", "v"),         "filters.contains",            "is not for viewer_id"),
    (comparison("in", "blog.id", ["b"] * (MAX_VALUES + 1)), "filters.in.value",       "may hold 1000 values in all"),
    ({"or": [comparison("in", "blog.id", ["b"] * MAX_VALUES), comparison("in", "blog.id", ["b"])]},
     "filters.or[1].in.value", "may hold 1000 values in all"),
    (comparison("in", "blog.id", ["x" * MAX_TEXT] * (MAX_BYTES // MAX_TEXT + 1)), "filters.in.value[50]",
     "may have 50000 bytes in all"),
]
# fmt: on


@pytest.mark.parametrize(("tree", "condition"), GOOD)
def test_tree_asks_for(tree: Any, condition: Condition) -> None:
    assert read(tree) == condition


@pytest.mark.parametrize(("tree", "path", "message"), BAD, ids=lambda value: repr(value)[:60])
def test_fault_names_its_path(tree: Any, path: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(tree)
    [error] = refused.value.errors
    assert error.field == path
    assert message in error.message
    assert refused.value.detail == f"{path}: {error.message}"
    refused.value.detail.encode()  # can be sent


def test_depth_and_size_end_where_they_say() -> None:
    deep: Any = ET
    for _ in range(MAX_DEPTH - 1):
        deep = {"not": deep}
    read(deep)
    with pytest.raises(Invalid, match=r"^filters(\.not){10}: is deeper than 10 nodes$"):
        read({"not": deep})
    read({"or": [ET] * (MAX_NODES - 1)})
    with pytest.raises(Invalid, match=r"^filters\.or\[99\]: is one node more than the 100"):
        read({"or": [ET] * 1_000_000})


def test_every_country_has_a_continent() -> None:
    assert continents.OF_COUNTRY.keys() == countries.names().keys()
    known = {"ET": "AF", "AQ": "AN", "TR": "AS", "CY": "AS", "RU": "EU", "XK": "EU", "MX": "NA", "JM": "NA", "NZ": "OC"}
    assert {code: continents.OF_COUNTRY[code] for code in known} == known


def test_flat_filters_and_the_tree_hold_together() -> None:
    asked = Top(
        site="s",
        country_codes=["et", ""],
        exclude_country_codes=["us"],
        user_id="u",
        author_username="ada",
        blog_id="b",
        filters=comparison("eq", "viewer_id", 7),
    )
    assert asked.condition(KATHMANDU) == Every(
        (
            countries_in("ET", ""),
            Not(countries_in("US")),
            Compare(Field.AUTHOR, Operator.EQ, ("u",)),
            Compare(Field.AUTHOR_USERNAME, Operator.EQ, ("ada",)),
            Compare(Field.BLOG, Operator.EQ, ("b",)),
            Compare(Field.VIEWER, Operator.IN, (hash_viewer("s", "7"),)),
        )
    )
    assert Top().condition(KATHMANDU) == ANY_ROW
    assert flat(None, None, None, None, None) == []


def test_tree_stands_in_the_address_of_the_next_page_as_text() -> None:
    as_object, as_text = Top(filters=ET), Top(filters=json.dumps(ET))
    assert as_object.address() == as_text.address() == {"filters": json.dumps(ET)}
