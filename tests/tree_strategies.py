"""Valid filter trees over a small world: its own values and unknown ones, in all the ways they may be written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.oracle_calendar import DAY, HOUR, clock, moment
from tests.oracle_facts import COUNTRIES, Json
from tests.oracle_filters import CONTINENT_NAMES

_ORDER = ("lt", "lte", "gt", "gte")
_CODES = [*COUNTRIES, "us", "dE", "JP"]


def trees(
    *,
    zone: str,
    places: Sequence[int],
    blogs: Sequence[str | int],
    authors: Sequence[str],
    usernames: Sequence[str],
    titles: Sequence[str],
) -> st.SearchStrategy[Json]:
    """`places` are instants (epoch ms) near which things happen; the other lists are what the world's values are."""
    times = _times(zone, places)
    by_field = {
        "country": st.sampled_from(_CODES),
        "country.code": st.sampled_from(_CODES),
        "country.name": st.sampled_from([*COUNTRIES.values(), "Japan"]),
        "country.continent": st.sampled_from([*CONTINENT_NAMES, *CONTINENT_NAMES.values(), "af", "SOUTH america"]),
        "blog.country": st.sampled_from(_CODES),
        "blog.id": st.sampled_from([*blogs, "never", 0, ""]),
        "blog.title": st.sampled_from([*titles, "never", ""]),
        "blog.created_at": times,
        **dict.fromkeys(("author.id", "user.id", "blog.author.id"), st.sampled_from([*authors, "nobody", ""])),
        **dict.fromkeys(("author.username", "blog.author.username"), st.sampled_from([*usernames, "nobody", ""])),
        "viewed_at": times,
        "viewer_id": st.sampled_from(["v", 7, "7", "nobody", ""]),
    }
    leaves = st.sampled_from(sorted(by_field)).flatmap(lambda field: _comparisons(field, by_field[field]))
    return st.recursive(leaves, _nodes, max_leaves=6).filter(lambda tree: _depth(tree) <= 10)


def _nodes(parts: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"and": several}),
        st.fixed_dictionaries({"or": several}),
        st.fixed_dictionaries({"not": parts}),
    )


@st.composite
def _comparisons(draw: st.DrawFn, field: str, values: st.SearchStrategy[Any]) -> Json:
    exact = ("eq", "ne", "in")
    keys = exact if field == "viewer_id" else (*exact, *_ORDER)
    timed = field in {"viewed_at", "blog.created_at"}
    key = draw(st.sampled_from(keys if timed or field == "viewer_id" else (*keys, "contains")))
    if key == "in":
        return {key: {"field": field, "value": draw(st.lists(values, min_size=1, max_size=3))}}
    value = draw(values)
    if key == "contains" or (key in _ORDER and not timed):
        value = draw(_parts(str(value)))
    return {key: {"field": field, "value": value}}


@st.composite
def _parts(draw: st.DrawFn, text: str) -> str:
    """The text or a piece of it, in some case."""
    first, last = sorted([draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))])
    part = draw(st.sampled_from([text, text[first:last]]))
    return draw(st.sampled_from([part, part.upper(), part.lower(), part.casefold()]))


@st.composite
def _times(draw: st.DrawFn, zone: str, places: Sequence[int]) -> str:
    """A date of the zone, or a timestamp to the second or the millisecond."""
    near = st.sampled_from([0, 1, -1, HOUR, -HOUR, DAY, -DAY]) | st.integers(-2 * DAY, 2 * DAY)
    at = draw(st.sampled_from(places)) + draw(near)
    if draw(st.booleans()):
        return clock(at, zone).date().isoformat()
    local = draw(st.sampled_from([moment(at), clock(at, "Asia/Kathmandu")]))
    return local.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _depth(tree: Json) -> int:
    [(key, operand)] = tree.items()
    if key in {"and", "or"}:
        return 1 + max(map(_depth, operand))
    return 1 + _depth(operand) if key == "not" else 1
