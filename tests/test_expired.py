"""Once events have expired, what rollups hold is still answered exactly, and what only events could tell is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.state import State
from tests.conftest import NewDsn
from tests.expiry import expire
from tests.oracle import Site
from tests.oracle_calendar import instant
from tests.oracle_facts import Json
from tests.service import Service, open_service

SINCE = "2025-03-01T00:00:00Z"

# Around the watermark, in its week, and long before it; two of them not at a whole quarter of an hour.
_TIMES = (
    *("2023-12-31T23:59:59.999Z", "2024-01-01T00:00:00Z", "2024-07-15T12:34:56Z", "2025-02-24T06:00:00Z"),
    *("2025-02-28T23:59:59.999Z", "2025-03-01T00:00:00Z", "2025-03-02T10:00:00Z", "2025-05-05T05:05:05Z"),
)
VIEWS = [
    {
        "blog_id": f"b{number % 3}",
        "author_id": f"a{number % 2}",
        "country": ("ET", "NP", "")[number % 3],
        "viewed_at": at,
    }
    for number, at in enumerate(_TIMES * 3)
]


@pytest.fixture(scope="module")
async def expired(new_dsn: NewDsn, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Has views of 2023 to 2025, and events from March 2025 on."""
    async with open_service(new_dsn(), redis_url, tmp_path_factory.mktemp("expired")) as service:
        await service.post(VIEWS)
        await expire(state(service).engine, instant(SINCE))
        yield service


def state(service: Service) -> State:
    found: State = service.app.state.readership
    return found


@pytest.fixture(scope="module")
def oracle() -> Site:
    site = Site()
    site.post(VIEWS)
    return site


ANSWERED: list[tuple[str, Json]] = [
    ("blog-views", {}),
    ("blog-views", {"group_by": "user", "interval": "month"}),
    ("blog-views", {"group_by": "blog", "start": "2024-07-15", "end": "2024-07-15"}),
    ("blog-views", {"group_by": "country", "interval": "week"}),
    ("blog-views", {"group_by": "country", "start": "2025-02-28", "end": "2025-03-02T10:00:00.001Z"}),
    ("blog-views", {"group_by": "country", "user_id": "a1", "interval": "year"}),
    ("blog-views", {"group_by": "country", "user_id": "a1", "start": "2024-07-01", "end": "2025-05-05T05:05:05Z"}),
    ("top", {"top": "blog", "end": "2025-03-02T00:00:00Z"}),
    ("performance", {"compare": "month"}),
    ("performance", {"compare": "week", "start": "2024-12-30"}),
    ("performance", {"compare": "day", "timezone": "Asia/Kathmandu", "start": "2025-02-20", "end": "2025-03-05"}),
    ("performance", {"compare": "month", "timezone": "Asia/Kathmandu"}),
    (
        "performance",
        {"compare": "hour", "timezone": "Asia/Kolkata", "start": "2025-02-28T18:30:00Z", "end": "2025-03-01"},
    ),
    ("performance", {"compare": "year", "x_metric": "created"}),
]


@pytest.mark.parametrize(("path", "asked"), ANSWERED)
async def test_what_rollups_hold_is_answered_exactly(expired: Service, oracle: Site, path: str, asked: Json) -> None:
    answer = await expired.ask(f"/api/analytics/{path}", **asked)
    tell = {"blog-views": oracle.blog_views, "top": oracle.top, "performance": oracle.performance}[path]
    assert answer["results"] == tell(asked)


REFUSED: list[tuple[str, Json, Sequence[str], str]] = [
    # path, question, fields named, what is said to work
    ("blog-views", {"start": "2024-07-15T12:00:01Z"}, ["start"], "whole days in UTC"),
    ("blog-views", {"start": "2024-07-15T12:00:01Z", "end": "2024-07-15T13:00:00Z"}, ["start", "end"], "whole days"),
    ("blog-views", {"start": "2024-07-15", "end": "2025-02-01T01:00:00Z"}, ["end"], "whole days in UTC"),
    ("blog-views", {"timezone": "Asia/Kathmandu", "year": 2024}, ["year"], "whole days in UTC"),
    ("blog-views", {"user_id": "a1", "start": "2024-07-15", "end": "2025-05-01"}, ["start"], "whole months in UTC"),
    ("blog-views", {"filters": '{"eq": {"field": "viewer_id", "value": "v"}}'}, ["start"], f"ask from {SINCE} on"),
    (
        "performance",
        {"compare": "day", "start": "2024-01-01T00:00:01Z", "end": "2024-01-05"},
        ["start"],
        "quarter hours",
    ),
    ("performance", {"compare": "month", "country_codes": "ET", "timezone": "Asia/Kathmandu"}, ["start"], "ask from"),
]


@pytest.mark.parametrize(("path", "asked", "fields", "works"), REFUSED)
async def test_what_has_expired_is_refused_with_what_would_work(
    expired: Service, path: str, asked: Json, fields: Sequence[str], works: str
) -> None:
    response = await expired.http.get(f"/api/analytics/{path}", params=asked)
    assert response.status_code == 422, response.text
    problem: dict[str, Any] = response.json()
    assert [error["field"] for error in problem["errors"]] == fields
    assert f"events viewed before {SINCE} have expired" in problem["detail"]
    assert works in problem["detail"]
    assert "\n" not in problem["detail"]


async def test_a_plan_that_needs_expired_events_is_refused(expired: Service) -> None:
    response = await expired.http.get("/api/rollups/optimal", params={"start": "2024-07-15T12:00:01Z"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "start"
    answer = await expired.ask("/api/rollups/optimal", start="2024-07-15T12:15:00Z")
    assert {segment["table"] for segment in answer["segments"]}


async def test_a_view_of_a_time_that_has_expired_is_still_counted(
    new_dsn: NewDsn, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_service(new_dsn(), redis_url, tmp_path) as service:
        await service.post(VIEWS)
        await service.ask("/api/analytics/blog-views", start="2024-07-15T12:00:01Z")
        await expire(state(service).engine, instant(SINCE))
        # A minute later.
        monkeypatch.setattr("clickhouse.tables.WATERMARK", -1)
        refused = await service.http.get("/api/analytics/blog-views", params={"start": "2024-07-15T12:00:01Z"})
        assert refused.status_code == 422
        late = {"blog_id": "b9", "country": "ET", "viewed_at": "2024-02-29T12:00:00Z"}
        await service.post([late])
        site = Site()
        site.post([*VIEWS, late])
        for group in ("country", "blog"):
            answer = await service.ask("/api/analytics/blog-views", group_by=group, interval="month")
            assert answer["results"] == site.blog_views({"group_by": group, "interval": "month"})
