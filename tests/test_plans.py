"""What a question costs: explained, foretold, and refused beyond the limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.clock import now
from tests.conftest import NewDsn
from tests.service import Service, open_service


async def test_explain_names_segments_and_the_rows_really_read(service: Service, site: str) -> None:
    await service.post(
        [
            {"blog_id": blog, "site": site, "viewed_at": f"2024-{month:02}-10T10:00Z"}
            for blog in "ab"
            for month in (3, 9)
        ]
    )
    asked = {"site": site, "start": "2024-01-01", "end": "2024-09-15", "explain": "true"}
    found = (await service.ask("/api/analytics/top", **asked))["meta"]["plan"]
    assert (found["grain"], found["table"], found["counting"]) == ("month", "views_by_month", "keys")
    assert [(one["table"], one["dimension_set"], one["start"], one["end"]) for one in found["segments"]] == [
        ("views_by_month", "author_blog", "2024-01-01T00:00:00Z", "2024-09-01T00:00:00Z"),
        ("views_by_day", "author_blog", "2024-09-01T00:00:00Z", "2024-09-16T00:00:00Z"),
    ]
    assert found["read_rows"] > 0
    assert found["estimated_rows"] == sum(one["estimated_rows"] for one in found["segments"])
    everything = (await service.ask("/api/analytics/blog-views", site=site, explain="true"))["meta"]["plan"]
    assert [(one["table"], one["start"], one["end"]) for one in everything["segments"]] == [
        ("views_by_year", None, None)
    ]
    ragged = await service.ask("/api/analytics/top", site=site, range="day", explain="true")
    assert ragged["meta"]["plan"]["table"] == "view_events"


@pytest.mark.parametrize(
    ("asked", "grain", "grains"),
    [
        ({"start": "2022-01-01", "end": "2024-12-31"}, "year", ["year"]),
        ({"start": "2024-01-01", "end": "2024-03-31"}, "month", ["month"]),
        ({"start": "2024-01-01T00:07:00Z", "end": "2024-01-01T02:00:00Z"}, "hour", ["hour", "quarter_hour", "raw"]),
        (
            {"start": "2024-01-01", "end": "2024-01-02", "timezone": "Asia/Kolkata"},
            *("day", ["day", "six_hours", "hour", "quarter_hour"]),
        ),
        ({"start": "2024-01-01", "end": "2024-01-31", "group_by": "blog", "country_codes": "ET"}, "month", ["month"]),
        ({"year": "2024", "filters": '{"eq": {"field": "viewer_id", "value": "v"}}'}, "raw", ["raw"]),
    ],
)
async def test_optimal_foretells_the_plan_of_a_range(
    service: Service, site: str, asked: dict[str, str], grain: str, grains: list[str]
) -> None:
    found = await service.ask("/api/rollups/optimal", site=site, **asked)
    assert (found["grain"], [one["grain"] for one in found["segments"]]) == (grain, grains)
    assert found["estimated_rows"] == sum(one["estimated_rows"] for one in found["segments"])


async def test_optimal_refuses_what_the_questions_refuse(service: Service) -> None:
    response = await service.http.get("/api/rollups/optimal", params={"start": "2024-02-01", "end": "2024-01-01"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "end")


@pytest.fixture
async def strict_service(new_dsn: NewDsn, redis_url: str, folder: Path) -> AsyncIterator[Service]:
    async with open_service(new_dsn(), redis_url, folder, query_max_rows=2_000) as service:
        yield service


async def test_question_over_a_limit_is_refused_with_a_cheaper_one(strict_service: Service) -> None:
    at = "2024-03-10T10:07Z"
    await strict_service.post([{"blog_id": number % 7, "viewed_at": at} for number in range(3_000)])
    month = await strict_service.ask("/api/analytics/top", start="2024-03-01", end="2024-03-31")
    assert sum(row["z"] for row in month["results"]) == 3_000
    ragged = {"start": "2024-03-10T10:05:00Z", "end": "2024-03-10T10:10:00Z"}
    response = await strict_service.http.get("/api/analytics/top", params=ragged)
    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["limit"] == "READERSHIP_QUERY_MAX_ROWS"
    assert "READERSHIP_QUERY_MAX_ROWS" in problem["detail"]
    assert "shorter range" in problem["detail"]


async def test_growth_of_an_unfinished_period_may_be_over_the_same_elapsed_part(service: Service, site: str) -> None:
    year = now().year
    first = f"{year - 1}-01-01T00:00Z"
    await service.post([{"blog_id": "a", "site": site, "viewed_at": at} for at in [first] * 2])
    await service.post(
        [{"blog_id": "a", "site": site, "viewed_at": f"{year - 1}-12-31T23:59:59.999Z"} for _ in range(2)]
    )
    await service.post([{"blog_id": "a", "site": site, "viewed_at": f"{year}-01-01T00:00Z"} for _ in range(3)])
    asked = {"site": site, "compare": "year"}
    rows = (await service.ask("/api/analytics/performance", **asked))["results"]
    assert [(row["y"], row["z"], row.get("partial")) for row in rows] == [(4, None, None), (3, -25.0, True)]
    fair = (await service.ask("/api/analytics/performance", **asked, compare_to="same_elapsed"))["results"]
    assert [(row["y"], row["z"], row.get("partial")) for row in fair] == [(4, None, None), (3, 50.0, True)]
