"""What the answers must be: plain Python over the events as posted and the registry as put, for one site.

Nothing here comes from the product, and periods are found another way: by looking at what the local clock shows
at an instant, not by turning local midnights into instants.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The English names CLDR gives the codes the tests use.
COUNTRIES = {
    "": "Unknown",
    "BR": "Brazil",
    "CI": "Côte d\u2019Ivoire",
    "DE": "Germany",
    "ET": "Ethiopia",
    "HK": "Hong Kong SAR China",
    "NP": "Nepal",
    "US": "United States",
    "XK": "Kosovo",
}


class Refused(Exception):
    """The question deserves a 422."""


@dataclass(frozen=True)
class View:
    """One counted event; `at` is epoch milliseconds, as every instant in this file."""

    blog_id: str
    author_id: str
    country: str
    at: int


@dataclass(frozen=True)
class Blog:
    title: str = ""
    author_id: str = ""
    country: str = ""
    created_at: int = 0


@dataclass(frozen=True)
class Author:
    username: str = ""
    name: str = ""


@dataclass(frozen=True, order=True)
class Period:
    """A row of a calendar: an hour, or the day, week, month or year that begins with a local date."""

    start: int
    name: str
    label: str


@dataclass
class Site:
    """A site as the service should know it; tell it what the service was told, in the same order."""

    views: list[View] = field(default_factory=list)
    blogs: dict[str, Blog] = field(default_factory=dict)
    authors: dict[str, Author] = field(default_factory=dict)
    event_ids: set[str] = field(default_factory=set)

    def post(self, events: list[Json]) -> int:
        """How many of the events are new."""
        before = len(self.views)
        for event in events:
            event_id = event.get("event_id")
            if event_id is None or event_id not in self.event_ids:
                self.views.append(self._view(event))
                self.event_ids.add(event_id or "")
        return len(self.views) - before

    def _view(self, event: Json) -> View:
        blog_id = str(event["blog_id"])
        registered = self.blogs.get(blog_id, Blog()).author_id
        author_id = str(event.get("author_id") or registered)
        return View(blog_id, author_id, (event.get("country") or "").upper(), instant(event["viewed_at"]))

    def put_blogs(self, rows: list[Json]) -> None:
        """A field left out keeps its value; `created_at` is given with the first."""
        for row in rows:
            told: Json = {name: row[name] or "" for name in ("title", "author_id", "country") if name in row}
            if "created_at" in row:
                told["created_at"] = instant(row["created_at"])
            self.blogs[str(row["blog_id"])] = replace(self.blogs.get(str(row["blog_id"]), Blog()), **told)

    def put_authors(self, rows: list[Json]) -> None:
        for row in rows:
            told = {name: row[name] or "" for name in ("username", "name") if name in row}
            self.authors[row["author_id"]] = replace(self.authors.get(row["author_id"], Author()), **told)

    def blog_views(self, asked: Json) -> list[Json]:
        """All rows of all pages."""
        group = asked.get("group_by") or asked.get("object_type") or "country"
        return self._groups(asked, group, asked.get("interval"))

    def top(self, asked: Json) -> list[Json]:
        return self._groups(asked, asked.get("top", "blog"), None)[: int(asked.get("limit", 10))]

    def performance(self, asked: Json) -> list[Json]:
        compare, zone = asked.get("compare", "month"), asked.get("timezone", "UTC")
        viewed, created = defaultdict[Period, list[View]](list), defaultdict[Period, int](int)
        for view in self._asked_views(asked):
            viewed[period_of(view.at, compare, zone)].append(view)
        if asked.get("x_metric") == "created":
            for view in self._asked_creations(asked):
                created[period_of(view.at, compare, zone)] += 1
        rows: list[Json] = []
        for period in _all_periods(asked, compare, zone, [*viewed, *created]):
            seen = {view.blog_id for view in viewed[period]}
            blogs = created[period] if asked.get("x_metric") == "created" else len(seen)
            y = len(viewed[period])
            z = growth(rows[-1]["y"], y) if rows else None
            rows.append({"x": f"{period.label} ({blogs})", **_told(period), "blogs": blogs, "y": y, "z": z})
        return rows

    def _groups(self, asked: Json, group: str, interval: str | None) -> list[Json]:
        zone = asked.get("timezone", "UTC")
        found = defaultdict[tuple[str, Period | None], list[View]](list)
        for view in self._asked_views(asked):
            key = {"country": view.country, "user": view.author_id, "blog": view.blog_id}[group]
            found[key, period_of(view.at, interval, zone) if interval else None].append(view)
        ranked = sorted(found, key=lambda key: (-len(found[key]), key[0], key[1].start if key[1] else 0))
        return [
            {
                "x": f"{self._label(group, id_)} - {period.name}" if period else self._label(group, id_),
                "id": id_,
                **(_told(period) if period else {}),
                "y": len({view.blog_id for view in found[id_, period]}),
                "z": len(found[id_, period]),
            }
            for id_, period in ranked
        ]

    def _label(self, group: str, id_: str) -> str:
        if group == "country":
            return COUNTRIES[id_]
        if group == "blog":
            return self.blogs.get(id_, Blog()).title or id_
        author = self.authors.get(id_, Author())
        return (id_ and (author.name or author.username or id_)) or "Unknown"

    def _asked_views(self, asked: Json) -> list[View]:
        return [view for view in self.views if _within(view.at, asked) and self._passes(view, asked)]

    def _asked_creations(self, asked: Json) -> list[View]:
        """Blogs, each as if viewed when it was created, from its own country."""
        blogs = [View(id_, blog.author_id, blog.country, blog.created_at) for id_, blog in self.blogs.items()]
        return [blog for blog in blogs if _within(blog.at, asked) and self._passes(blog, asked)]

    def _passes(self, view: View, asked: Json) -> bool:
        username = asked.get("author_username")
        author = self.authors.get(view.author_id)
        return (
            ("country_codes" not in asked or view.country in _codes(asked["country_codes"]))
            and view.country not in _codes(asked.get("exclude_country_codes", []))
            and ("user_id" not in asked or view.author_id == str(asked["user_id"]))
            and (username is None or (author is not None and author.username == username))
            and ("blog_id" not in asked or view.blog_id == str(asked["blog_id"]))
        )


def growth(previous: int, current: int) -> float | None:
    if previous == 0:
        return 100.0 if current else None
    return round((current - previous) / previous * 100, 2)


def asked_range(asked: Json) -> tuple[int | None, int | None]:
    """Half-open; None is open. Raises Refused for a range that holds nothing."""
    zone = asked.get("timezone", "UTC")
    if "year" in asked:
        return first_instant(date(asked["year"], 1, 1), zone), first_instant(date(asked["year"] + 1, 1, 1), zone)
    start = _moment(asked["start"], zone, timedelta(0)) if "start" in asked else None
    end = _moment(asked["end"], zone, timedelta(days=1)) if "end" in asked else None
    if start is not None and end is not None and start >= end:
        raise Refused
    return start, end


def _moment(text: str, zone: str, beyond: timedelta) -> int:
    is_date = "T" not in text
    return first_instant(date.fromisoformat(text) + beyond, zone) if is_date else instant(text)


def _within(at: int, asked: Json) -> bool:
    start, end = asked_range(asked)
    return (start is None or start <= at) and (end is None or at < end)


def _codes(given: str | list[str]) -> set[str]:
    """A comma too many is nobody's country; nothing but commas is the unknown one."""
    if isinstance(given, list):
        return {code.upper() for code in given}
    return {code.upper() for code in given.split(",") if code} or {""}


def _told(period: Period) -> Json:
    return {"period": period.name, "start": rfc3339(period.start)}


def instant(given: str | int) -> int:
    """Epoch milliseconds of what clients send."""
    return given if isinstance(given, int) else (datetime.fromisoformat(given) - EPOCH) // timedelta(milliseconds=1)


def rfc3339(at: int) -> str:
    return moment(at).isoformat(timespec="milliseconds" if at % SECOND else "seconds").replace("+00:00", "Z")


def moment(at: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at)


def clock(at: int, zone: str) -> datetime:
    """What the clocks of `zone` show."""
    return moment(at).astimezone(ZoneInfo(zone))


def period_of(at: int, interval: str, zone: str) -> Period:
    if interval != "hour":
        return _period(interval, _first_day(interval, latest_date(at, zone)), zone)
    at -= at % MINUTE
    while not _begins_hour(at, zone):
        at -= MINUTE
    return _hour(at, zone)


def _all_periods(asked: Json, interval: str, zone: str, found: list[Period]) -> list[Period]:
    """Those of the asked range, without gaps; an open side ends with the first or last of `found`."""
    start, end = asked_range(asked)
    if not found and (start is None or end is None):
        return []
    first = min(found) if start is None else period_of(start, interval, zone)
    last = max(found) if end is None else period_of(end - 1, interval, zone)
    return from_to(interval, zone, first, last)


@cache
def from_to(interval: str, zone: str, first: Period, last: Period) -> list[Period]:
    """Enumerates the local calendar: every clock hour, or every date, each in the period it belongs to."""
    if interval == "hour":
        hours = [first]
        while hours[-1] < last:
            hours.append(_hour(_next_hour(hours[-1].start, zone), zone))
        return hours
    day, until = latest_date(first.start, zone), latest_date(last.start, zone)
    days = [day + timedelta(days=n) for n in range((until - day).days + 1)]
    periods = {_first_day(interval, day): None for day in days if _happened(day, zone)}
    return [_period(interval, day, zone) for day in periods]


def _first_day(interval: str, day: date) -> date:
    into = {
        "day": 0,
        "week": day.isocalendar().weekday - 1,
        "month": day.day - 1,
        "year": day.timetuple().tm_yday - 1,
    }
    return day - timedelta(days=into[interval])


@cache
def _period(interval: str, day: date, zone: str) -> Period:
    iso = day.isocalendar()
    name = {
        "day": day.isoformat(),
        "week": f"{iso.year}-W{iso.week:02}",
        "month": day.isoformat()[:7],
        "year": day.isoformat()[:4],
    }[interval]
    return Period(first_instant(day, zone), name, f"{day:%B %Y}" if interval == "month" else name)


def _hour(start: int, zone: str) -> Period:
    name = clock(start, zone).strftime("%Y-%m-%d %H:00")
    return Period(start, name, name)


def _begins_hour(at: int, zone: str) -> bool:
    """An hour begins when the clock comes to :00, and when it is set to another hour than it showed."""
    now, before = clock(at, zone), clock(at - MINUTE, zone)
    return now.minute == 0 or (now.date(), now.hour) != (before.date(), before.hour)


def _next_hour(start: int, zone: str) -> int:
    now, later = clock(start, zone), clock(start + HOUR, zone)
    if now.minute == 0 and now.utcoffset() == later.utcoffset():
        return start + HOUR
    start += MINUTE
    while not _begins_hour(start, zone):
        start += MINUTE
    return start


@cache
def latest_date(at: int, zone: str) -> date:
    """The latest date the local clock has shown up to `at`: a date does not begin again when clocks are set back."""
    now = clock(at, zone)
    if not now.fold:
        return now.date()
    before = at - at % MINUTE
    while clock(before, zone).utcoffset() == now.utcoffset():
        before -= MINUTE
    return max(now.date(), clock(before, zone).date())


@cache
def first_instant(day: date, zone: str) -> int:
    """When the local clock first shows `day`, or a later date where `day` never happened."""
    noon = instant(f"{day}T12:00:00+00:00")
    minutes = range(noon - 2 * DAY, noon + 2 * DAY, MINUTE)
    return minutes[bisect_left(minutes, day, key=lambda at: latest_date(at, zone))]


def _happened(day: date, zone: str) -> bool:
    return latest_date(first_instant(day, zone), zone) == day
