"""What is asked: each question as the API takes it and as one scan of raw; `by_hand/<name>.sql` is its best SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

# Three years of days are one page: `READERSHIP_API_MAX_PAGE_SIZE` of the service that is measured.
PAGE = 2_000

# Groups come as dashboards ask for them: the first page of default size.
_GROUPS = 100


class Span(NamedTuple):
    """`[start, end)` in UTC, as SQL writes it."""

    start: str
    end: str

    @property
    def is_long(self) -> bool:
        """A year or more: where rollups have to read 200 times fewer rows than raw."""
        return datetime.fromisoformat(self.end) - datetime.fromisoformat(self.start) >= timedelta(days=365)


THREE_YEARS = Span("2022-01-01 00:00:00", "2025-01-01 00:00:00")
THREE_YEARS_KOLKATA = Span("2021-12-31 18:30:00", "2024-12-31 18:30:00")
YEAR = Span("2024-01-01 00:00:00", "2025-01-01 00:00:00")
YEAR_KOLKATA = Span("2023-12-31 18:30:00", "2024-12-31 18:30:00")
DAYS_365 = Span("2023-12-18 00:00:00", "2024-12-17 00:00:00")
DAYS_90 = Span("2024-10-02 00:00:00", "2024-12-31 00:00:00")
HOURS_24 = Span("2024-12-30 15:20:37.123", "2024-12-31 15:20:37.123")
RAGGED = Span("2022-03-17 09:41:23.457", "2024-09-17 21:13:08.291")


@dataclass(frozen=True)
class Question:
    """`raw` is the statement on view_events alone. `target` is the p50 in ms that the API may take."""

    name: str
    label: str
    span: Span
    path: str
    raw: str
    target: float | None = None

    @property
    def by_hand(self) -> str:
        return Path(__file__).with_name("by_hand").joinpath(f"{self.name}.sql").read_text()


_STARTS = {
    "year": "toDateTime(toStartOfYear(viewed_at), 'UTC')",
    "month": "toDateTime(toStartOfMonth(viewed_at), 'UTC')",
    "day": "toStartOfDay(viewed_at, '{zone}')",
}


def _period(interval: str, zone: str = "UTC") -> str:
    return f"toUnixTimestamp({_STARTS[interval].format(zone=zone)})"


def _path(endpoint: str, span: Span, asked: dict[str, str]) -> str:
    range_ = {"start": f"{span.start.replace(' ', 'T')}Z", "end": f"{span.end.replace(' ', 'T')}Z"}
    return f"/api/analytics/{endpoint}?{urlencode({**range_, **asked})}"


def _scan(span: Span, keys: str, order: str, blogs: str = "uniqExact(blog_number)", where: str = "") -> str:
    return f"""\
SELECT {keys}, {blogs}, count()
FROM view_events
WHERE site = 'default' AND viewed_at >= '{span.start}' AND viewed_at < '{span.end}'{where and f" AND {where}"}
GROUP BY {keys}
ORDER BY {order}"""  # noqa: S608 - the pieces stand in this file


def _chart(
    name: str, label: str, span: Span, interval: str, target: float | None, where: str = "", **asked: str
) -> Question:
    """The performance endpoint, all periods on one page."""
    path = _path("performance", span, {"compare": interval, "page_size": str(PAGE), **asked})
    period = _period(interval, asked.get("timezone", "UTC"))
    return Question(name, label, span, path, _scan(span, period, period, where=where), target)


_COLUMNS = {"country": "country", "user": "author_id", "blog": "blog_id"}


def _ranking(
    name: str, label: str, span: Span, group: str, target: float | None, where: str = "", **asked: str
) -> Question:
    """The top endpoint, ten rows; blog-views, its first page, for a name that does not begin with `top`."""
    top = name.startswith("top")
    path = _path("top" if top else "blog-views", span, {"top" if top else "group_by": group, **asked})
    column = _COLUMNS[group]
    order = f"count() DESC, {column} LIMIT {10 if top else _GROUPS}"
    blogs = "1" if group == "blog" else "uniqExact(blog_number)"
    return Question(name, label, span, path, _scan(span, column, order, blogs, where), target)


def _posts_by_month(name: str, label: str, author: str) -> Question:
    asked = {"group_by": "blog", "interval": "month", "user_id": author}
    keys = f"blog_id, {_period('month')}"
    scan = _scan(THREE_YEARS, keys, f"count() DESC, {keys} LIMIT {_GROUPS}", "1", f"author_id = '{author}'")
    return Question(name, label, THREE_YEARS, _path("blog-views", THREE_YEARS, asked), scan)


_KOLKATA = "Asia/Kolkata"
_GUIDES = (
    '{"and": [{"contains": {"field": "blog.title", "value": "guide"}}, {"ne": {"field": "country", "value": "US"}}]}'
)
_GUIDES_SQL = "country != 'US' AND blog_id IN (SELECT blog_id FROM blogs FINAL WHERE title ILIKE '%guide%')"

QUESTIONS = (
    _chart("years_3y", "total by year, 3 years", THREE_YEARS, "year", 10),
    _chart("months_3y", "total by month, 3 years", THREE_YEARS, "month", 10),
    _chart("months_3y_exact", "  the same, distinct=exact", THREE_YEARS, "month", None, distinct="exact"),
    _chart("days_3y", "total by day, 3 years", THREE_YEARS, "day", 25),
    _chart("days_3y_kolkata", "  in Asia/Kolkata", THREE_YEARS_KOLKATA, "day", None, timezone=_KOLKATA),
    _chart("days_1y", "total by day, 1 year", YEAR, "day", None),
    _chart("days_1y_kolkata", "  in Asia/Kolkata", YEAR_KOLKATA, "day", None, timezone=_KOLKATA),
    _ranking("top_blogs_3y", "top blogs, 3 years", THREE_YEARS, "blog", 10),
    _ranking("top_blogs_365d", "top blogs, 365 days to mid-month", DAYS_365, "blog", None),
    _ranking("top_authors_3y", "top authors, 3 years", THREE_YEARS, "user", 10),
    _ranking("top_countries_3y", "top countries, 3 years", THREE_YEARS, "country", 10),
    _ranking("countries_1y", "by country, 1 year", YEAR, "country", None),
    _ranking("countries_365d", "by country, 365 days to mid-month", DAYS_365, "country", None),
    _ranking("countries_90d", "by country, 90 days", DAYS_90, "country", None),
    _ranking("countries_24h", "by country, 24 hours to the ms", HOURS_24, "country", None),
    _ranking("countries_ragged", "by country, 2.5 years to the ms", RAGGED, "country", 25),
    _ranking("authors_90d", "by author, 90 days", DAYS_90, "user", None),
    _ranking("authors_ragged", "by author, 2.5 years to the ms", RAGGED, "user", 25),
    _ranking("blogs_24h", "by blog, 24 hours to the ms", HOURS_24, "blog", None),
    _ranking(
        *("top_blogs_of_country", "top blogs in one country, 3 years", THREE_YEARS, "blog", None),
        where="country = 'ET'",
        country_codes="ET",
    ),
    _ranking(
        *("top_authors_by_title", "top authors, title contains, not US", THREE_YEARS, "user", None),
        where=_GUIDES_SQL,
        filters=_GUIDES,
    ),
    _posts_by_month("posts_of_author", "one author's posts by month, 3 years", "author-7"),
    _chart(
        *("days_of_blog", "one blog by day, 3 years", THREE_YEARS, "day", None),
        where="blog_id = '/blog/2022/post-42'",
        blog_id="/blog/2022/post-42",
    ),
)
