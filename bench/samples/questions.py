"""What is asked: each question as the API takes it and as one scan of raw."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from bench.samples.dataset import METRIC

# A year of days of ten users is one page: `READERSHIP_API_MAX_PAGE_SIZE` of the service that is measured.
PAGE = 5_000


@dataclass(frozen=True)
class Question:
    """`raw` gives epoch seconds, user and the numbers, in the API's order. `target`: the p50 in ms it may take;
    `fewer`: how many times fewer rows than the scan it has to read."""

    name: str
    label: str
    path: str
    raw: str
    target: float | None = None
    fewer: float | None = None


_NUMBERS = {"avg": "avg(value)", "min": "min(value)", "max": "max(value)", "count": "count()"}


def _question(
    name: str,
    label: str,
    span: tuple[str, str],
    interval: str,
    *,
    zone: str = "UTC",
    group: bool = True,
    user: str = "",
    aggregates: tuple[str, ...] = ("avg",),
    target: float | None = None,
    fewer: float | None = None,
) -> Question:
    """`span`: its first and last day."""
    start, end = span
    asked = {"metric": METRIC, "start": start, "end": end, "interval": interval, "timezone": zone}
    asked |= {"aggregates": ",".join(aggregates), "page_size": str(PAGE)}
    asked |= {"group_by": "user"} if group else {}
    asked |= {"labels": f"user={user}"} if user else {}
    period = {"hour": "toStartOfHour(at, {})", "day": "toStartOfDay(at, {})", "month": "toStartOfMonth(at, {})"}
    zoned = period[interval].format(f"'{zone}'")
    who = "JSONExtractString(labels, 'user')"
    numbers = ", ".join(_NUMBERS.get(one, "NULL") for one in aggregates)
    raw = f"""\
SELECT toUnixTimestamp(toDateTime({zoned}, '{zone}')) AS period, {who if group else "''"} AS who, {numbers}
FROM samples
WHERE site = 'default' AND metric = '{METRIC}'
  AND at >= toDateTime('{start} 00:00:00', '{zone}') AND at < toDateTime('{end} 00:00:00', '{zone}') + INTERVAL 1 DAY
  {f"AND {who} = '{user}'" if user else ""}
GROUP BY period, who
ORDER BY period, who"""  # noqa: S608 - the pieces stand in this file
    return Question(name, label, f"/api/samples/query?{urlencode(asked)}", raw, target, fewer)


_YEAR = ("2024-01-01", "2024-12-31")
_WEEK = ("2024-12-25", "2024-12-31")
_LESS = ("avg", "min", "max", "count")

QUESTIONS = (
    _question("days_1y", "a year by day, 10 users: avg", _YEAR, "day", target=20, fewer=100),
    _question("days_1y_four", "  avg, min, max, count", _YEAR, "day", aggregates=_LESS),
    _question("days_1y_p95", "  p95", _YEAR, "day", aggregates=("p95",)),
    _question("days_1y_kolkata", "  avg in Asia/Kolkata", _YEAR, "day", zone="Asia/Kolkata"),
    _question("days_1y_all", "a year by day, all together", _YEAR, "day", group=False, fewer=100),
    _question("days_1y_one", "a year by day, one user", _YEAR, "day", user="3", group=False, fewer=100),
    _question("months_1y", "a year by month, 10 users", _YEAR, "month", aggregates=_LESS, fewer=100),
    _question("hours_1w", "a week by hour, 10 users", _WEEK, "hour", aggregates=_LESS),
)
