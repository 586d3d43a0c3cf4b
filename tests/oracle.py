"""What the answers must be: plain Python over the events as posted and the registry as put, for one site.

Nothing here, in oracle_calendar or in oracle_filters comes from the product.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from time import time_ns

from tests.oracle_calendar import Period, first_instant, from_to, instant, period_of, rfc3339
from tests.oracle_facts import COUNTRIES, Author, Blog, Json, View
from tests.oracle_filters import passes


class Refused(Exception):
    """The question deserves a 422."""


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
        viewer_id = None if event.get("viewer_id") is None else str(event["viewer_id"])
        return View(blog_id, author_id, (event.get("country") or "").upper(), instant(event["viewed_at"]), viewer_id)

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
        now = time_ns() // 1_000_000
        current = period_of(now, compare, zone)
        rows: list[Json] = []
        before: Period | None = None
        for period in _all_periods(asked, compare, zone, [*viewed, *created]):
            seen = {view.blog_id for view in viewed[period]}
            blogs = created[period] if asked.get("x_metric") == "created" else len(seen)
            y = len(viewed[period])
            z = growth(len(viewed[before]), y) if before else None
            row = {"x": f"{period.label} ({blogs})", **_told(period), "blogs": blogs, "y": y, "z": z}
            if period == current:
                row["partial"] = True
                if before and asked.get("compare_to") == "same_elapsed":
                    elapsed = [view for view in viewed[before] if view.at - before.start < now - period.start]
                    row["z"] = growth(len(elapsed), y)
            rows.append(row)
            before = period
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
            and ("filters" not in asked or self._in_tree(view, asked))
        )

    def _in_tree(self, view: View, asked: Json) -> bool:
        return passes(view, self.blogs, self.authors, asked["filters"], asked.get("timezone", "UTC"))


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


def _all_periods(asked: Json, interval: str, zone: str, found: list[Period]) -> list[Period]:
    """Those of the asked range, without gaps; an open side ends with the first or last of `found`."""
    start, end = asked_range(asked)
    if not found and (start is None or end is None):
        return []
    first = min(found) if start is None else period_of(start, interval, zone)
    last = max(found) if end is None else period_of(end - 1, interval, zone)
    return from_to(interval, zone, first, last)
