"""What hypothesis asks the service: small worlds full of ties, placed where calendars are difficult."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from tests.oracle_calendar import DAY, HOUR, MINUTE, clock, instant, moment
from tests.oracle_facts import COUNTRIES, Json
from tests.tree_strategies import trees

ZONES = (
    *("UTC", "Asia/Kathmandu", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"),
    *("America/St_Johns", "Pacific/Apia", "America/Sao_Paulo", "Europe/Berlin"),
)

# Year ends, leap days, month ends, and ISO weeks 1 and 53 that straddle years; local midnights in each zone.
TURNS = (
    *("2000-02-29", "2012-01-01", "2015-12-28", "2016-01-04", "2018-12-31", "2020-02-29", "2020-03-01"),
    *(
        "2020-12-28",
        "2021-01-01",
        "2021-01-04",
        "2024-02-29",
        "2024-03-01",
        "2024-12-30",
        "2025-01-01",
        "2025-02-01",
    ),
)

# The instants at which clocks are set, and Apia's loss of 30 December 2011.
CHANGES = {
    "America/New_York": ("2024-03-10T07:00Z", "2024-11-03T06:00Z"),
    "Australia/Lord_Howe": ("2024-04-06T15:00Z", "2024-10-05T15:30Z"),
    "Pacific/Chatham": ("2024-04-06T14:00Z", "2024-09-28T14:00Z"),
    "America/St_Johns": ("2006-10-29T02:31Z", "2024-03-10T05:30Z", "2024-11-03T04:30Z"),  # 2006: at 00:01
    "Pacific/Apia": ("2011-12-30T10:00Z", "2012-03-31T14:00Z", "2020-09-26T14:00Z"),
    "America/Sao_Paulo": ("2018-02-18T02:00Z", "2018-11-04T03:00Z"),  # at midnight
    "Europe/Berlin": ("2020-10-25T01:00Z", "2024-03-31T01:00Z", "2024-10-27T01:00Z"),
}

# No event of 2026 can be posted everywhere yet, but a range may reach into its week 53.
LATER = ("2026-12-28T00:00Z", "2027-01-03T12:00Z")

Endpoint = Literal["blog-views", "top", "performance"]


@dataclass(frozen=True)
class Asked:
    """One question; `segment` stands in the path instead of a parameter."""

    endpoint: Endpoint
    parameters: Json
    method: Literal["GET", "POST"]
    page_size: int
    segment: str = ""

    @property
    def path(self) -> str:
        return "/".join(["/api/analytics", self.endpoint, *filter(None, [self.segment]), ""])


@dataclass(frozen=True)
class World:
    """What the service is told, in this order, and what it is asked then."""

    authors: list[Json]
    blogs: list[Json]
    events: list[Json]
    changed_blogs: list[Json]
    questions: list[Asked]


@dataclass(frozen=True)
class _Pool:
    """The few values of one world, so that they meet; `places` are the instants it happens around."""

    zone: str
    places: list[int]
    blogs: list[str | int]
    authors: list[str]
    usernames: list[str]
    titles: list[str]


def places(zone: str) -> list[int]:
    """Instants (epoch ms) at which the calendar of `zone` is difficult."""
    turns = [datetime.fromisoformat(turn).replace(tzinfo=ZoneInfo(zone)).isoformat() for turn in TURNS]
    return sorted({instant(text) for text in [*turns, *CHANGES.get(zone, ())]})


# Text that has a meaning to SQL, to TSV, to a query string or to Unicode, beside any other.
AWKWARD = (
    "\\N",
    "\\t",
    "%",
    "'",
    "{site:String}",
    "0",
    "00",
    " ",
    "a,b",
    "é",
    "e\u0301",
    "日本",
    "🦊",
    "\u2028",
    "ß",
    "NULL",
)
ids = st.sampled_from(AWKWARD) | st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12
)  # fmt: skip

_NEAR = (
    0,
    -1,
    1,
    MINUTE,
    -MINUTE,
    HOUR // 2,
    -HOUR // 2,
    HOUR - 1,
    HOUR,
    -HOUR,
    DAY,
    -DAY,
    7 * DAY,
    -7 * DAY,
    31 * DAY,
)
nearby = st.sampled_from(_NEAR) | st.integers(-2 * DAY, 2 * DAY)
codes = st.sampled_from([code for code in COUNTRIES if code])


@st.composite
def pools(draw: st.DrawFn) -> _Pool:
    zone = draw(st.sampled_from(ZONES))
    changes = [instant(text) for text in CHANGES.get(zone, ())]
    first = draw(st.sampled_from([*places(zone), *changes, *changes, *changes]))
    near = [place for place in places(zone) if abs(place - first) < 450 * DAY]
    return _Pool(
        zone=zone,
        places=[first, *draw(st.lists(st.sampled_from(near), max_size=2))],
        blogs=draw(st.lists(ids | st.integers(-5, 99), min_size=1, max_size=5, unique_by=str)),
        authors=draw(st.lists(ids, min_size=1, max_size=3, unique=True)),
        usernames=draw(st.lists(ids, min_size=1, max_size=2, unique=True)),
        titles=draw(st.lists(ids, min_size=1, max_size=2, unique=True)),
    )


def instants(pool: _Pool) -> st.SearchStrategy[int]:
    return st.builds(int.__add__, st.sampled_from(pool.places), nearby)


@st.composite
def timestamps(draw: st.DrawFn, at: int) -> str:
    """RFC 3339 with some offset, of the same instant."""
    minutes = draw(st.sampled_from([0, 345, -210, 825, -720]))
    text = moment(at).astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="milliseconds")
    return text.replace("+00:00", draw(st.sampled_from(["+00:00", "Z"])))


def _sometimes(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]]) -> Json:
    """Each field in about half of the cases."""
    return {name: draw(values) for name, values in fields.items() if draw(st.booleans())}


@st.composite
def events(draw: st.DrawFn, pool: _Pool) -> Json:
    at = draw(instants(pool))
    return {
        "blog_id": draw(st.sampled_from(pool.blogs)),
        "viewed_at": at if draw(st.booleans()) else draw(timestamps(at)),
        **_sometimes(
            draw,
            {
                "author_id": st.sampled_from([None, "", *pool.authors]),
                "country": st.sampled_from([None, "", "us", *COUNTRIES]),
                "viewer_id": st.sampled_from([None, "v", 7]),
            },
        ),
        # Three ids for all events of a world: some are sent twice.
        **({"event_id": f"00000000-0000-4000-8000-00000000000{n}"} if (n := draw(st.integers(0, 12))) < 3 else {}),
    }


@st.composite
def blogs(draw: st.DrawFn, pool: _Pool, blog_id: str | int) -> Json:
    optional = {"title": st.sampled_from(pool.titles), "author_id": st.sampled_from(pool.authors), "country": codes}
    return {
        "blog_id": blog_id,
        "created_at": draw(timestamps(draw(instants(pool)))),
        **_sometimes(draw, optional),
    }


@st.composite
def authors(draw: st.DrawFn, pool: _Pool, author_id: str) -> Json:
    optional = {
        "username": st.sampled_from([None, *pool.usernames]),
        "name": st.sampled_from([None, "Ada", "Ångström"]),
    }
    return {"author_id": author_id, **_sometimes(draw, optional)}


@st.composite
def ranges(draw: st.DrawFn, pool: _Pool, zone: str, *, short: bool) -> Json:
    """No range, `year`, or a date or timestamp on one side or both; a `short` one has a week at most."""
    if not short and draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([{}, {"year": clock(pool.places[0], zone).year}]))
    start, end = draw(instants(pool)), draw(instants(pool))
    if short:
        start = draw(st.sampled_from(pool.places)) - draw(st.sampled_from([0, MINUTE, HOUR, 3 * HOUR, DAY]))
        end = start + draw(st.sampled_from([1, HOUR, 6 * HOUR, DAY, 7 * DAY]) | st.integers(1, 7 * DAY))
    elif draw(st.integers(0, 9)) == 0:
        end = instant(draw(st.sampled_from(LATER)))
    sides = {"start": min(start, end), "end": max(start, end)}
    if not short and draw(st.integers(0, 2)) == 0:
        del sides[draw(st.sampled_from(["start", "end"]))]
    return {
        side: clock(at, zone).date().isoformat() if draw(st.booleans()) else draw(timestamps(at))
        for side, at in sides.items()
    }


@st.composite
def filters(draw: st.DrawFn, pool: _Pool, method: str) -> Json:
    """The flat filters, mostly none; lists as JSON arrays, repeated or comma-separated."""
    if draw(st.booleans()):
        return {}
    several = st.lists(codes | st.just("us"), min_size=1, max_size=3)
    with_unknown = st.builds(lambda found: [*found, ""], several)
    listed = several | with_unknown | st.builds(",".join, several | with_unknown)
    optional = {
        "country_codes": listed,
        "exclude_country_codes": listed,
        "user_id": st.sampled_from(pool.authors),
        "author_username": st.sampled_from(pool.usernames),
        "blog_id": st.sampled_from([*pool.blogs, "never"])
        if method == "POST"
        else st.sampled_from(pool.blogs).map(str),
    }
    names = draw(st.lists(st.sampled_from(sorted(optional)), min_size=1, max_size=2, unique=True))
    asked = {name: draw(optional[name]) for name in names}
    if asked.keys() >= {"country_codes", "exclude_country_codes"}:  # which may contradict each other
        del asked[names[0]]
    return asked


@st.composite
def questions(draw: st.DrawFn, pool: _Pool) -> Asked:
    endpoint: Endpoint = draw(st.sampled_from(["blog-views", "top", "performance", "performance"]))
    method: Literal["GET", "POST"] = draw(st.sampled_from(["GET", "POST"]))
    zone = draw(st.sampled_from([pool.zone, pool.zone, pool.zone, draw(st.sampled_from(ZONES))]))
    # Two tries each: a default is one case of many.
    asked = _sometimes(draw, _OWN[endpoint]) | _sometimes(draw, _OWN[endpoint])
    name, segment = draw(st.sampled_from(_GROUP_NAMES[endpoint])), ""
    group = draw(st.sampled_from(["country", "user", "blog"]))
    if name == "in the path":
        segment = group
    elif name:
        asked[name] = group
    asked |= draw(ranges(pool, zone, short=asked.get("compare") == "hour"))
    asked |= {"timezone": zone} if zone != "UTC" else {}
    if draw(st.integers(0, 2)) == 0:
        asked["filters"] = draw(trees(**{**vars(pool), "zone": zone}))
    asked |= draw(filters(pool, method)) | _sometimes(draw, {"distinct": st.sampled_from(["approx", "exact"])})
    return Asked(endpoint, asked, method, draw(st.sampled_from([1, 2, 3, 5, 7, 1000, 1000])), segment)


_OWN: dict[Endpoint, dict[str, st.SearchStrategy[Any]]] = {
    "blog-views": {"interval": st.sampled_from(["day", "week", "month", "year"])},
    "top": {"limit": st.integers(1, 100) | st.integers(1, 4)},
    "performance": {
        "compare": st.sampled_from(["hour", "hour", "day", "week", "month", "year"]),
        "x_metric": st.sampled_from(["viewed", "created", "created", "created"]),
        "compare_to": st.sampled_from(["previous", "same_elapsed"]),
    },
}

_GROUP_NAMES: dict[Endpoint, list[str]] = {
    "blog-views": ["group_by", "object_type", "in the path", ""],
    "top": ["top", "in the path", ""],
    "performance": [""],
}


@st.composite
def worlds(draw: st.DrawFn, *, asked: int) -> World:
    """A world and exactly `asked` questions."""
    pool = draw(pools())
    registered = draw(st.lists(st.sampled_from(pool.blogs), min_size=draw(st.integers(0, 1)), unique=True))
    changed = draw(st.lists(st.sampled_from(registered), max_size=2, unique=True)) if registered else []
    return World(
        authors=[draw(authors(pool, author_id)) for author_id in pool.authors if draw(st.booleans())],
        blogs=[draw(blogs(pool, blog_id)) for blog_id in registered],
        events=draw(st.lists(events(pool), min_size=draw(st.sampled_from([1, 15])), max_size=30)),
        changed_blogs=[draw(blogs(pool, blog_id)) for blog_id in changed],
        questions=draw(st.lists(questions(pool), min_size=asked, max_size=asked)),
    )
