"""Once samples have expired, rollups still answer exactly, and what only samples could tell is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from clickhouse.rollups import OF_SAMPLES
from service.state import State
from tests.conftest import NewDsn
from tests.expiry import expire
from tests.oracle_calendar import HOUR, instant
from tests.oracle_facts import Json
from tests.oracle_samples import Taken, rows
from tests.samples import send
from tests.service import Service, new_site, open_service

SINCE = "2025-03-01T00:00:00Z"
SAMPLES = [
    Taken(instant("2025-02-20T00:00:00+00:00") + 5 * HOUR * number + 1_234, number / 4, {"user": str(number % 3)})
    for number in range(80)
]


@pytest.fixture(scope="module")
def of_m(new_dsn: NewDsn) -> Json:
    """Of an engine's own site: ids are known to the services of both."""
    return {"site": new_site(), "metric": "m"}


@pytest.fixture(scope="module")
async def expired(
    new_dsn: NewDsn, redis_url: str, of_m: Json, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    async with open_service(new_dsn(), redis_url, tmp_path_factory.mktemp("expired-samples")) as service:
        await send(service, of_m["site"], "m", SAMPLES)
        state: State = service.app.state.readership
        await expire(state.engine, instant(SINCE), OF_SAMPLES)
        yield service


ANSWERED: list[Json] = [
    {"interval": "month"},
    {"interval": "week", "group_by": ["user"]},
    {"interval": "day", "timezone": "Asia/Kathmandu", "start": "2025-02-21"},
    {"interval": "minute", "start": "2025-02-25T10:07:00Z", "end": "2025-02-27"},
    {"interval": "hour", "start": "2025-02-25T10:07:00Z", "labels": {"user": ["1"]}, "timezone": "Asia/Kolkata"},
    {"interval": "raw", "start": "2025-03-01"},
]


@pytest.mark.parametrize("asked", ANSWERED)
async def test_what_rollups_hold_is_answered_exactly(expired: Service, of_m: Json, asked: Json) -> None:
    response = await expired.http.post("/api/samples/query", json={**of_m, "page_size": 1000, **asked})
    assert response.status_code == 200, response.text
    assert response.json()["results"] == rows(SAMPLES, asked, asked["interval"])


async def test_auto_takes_minutes_for_samples_that_have_expired(expired: Service, of_m: Json) -> None:
    asked: Json = {"start": "2025-02-25", "end": "2025-02-25"}
    response = await expired.http.post("/api/samples/query", json={**of_m, **asked})
    assert response.status_code == 200, response.text
    assert response.json()["results"] == rows(SAMPLES, asked, "minute")
    assert response.json()["meta"]["interval"] == "minute"


REFUSED: list[tuple[Json, str, str]] = [
    ({"interval": "raw"}, "start", f"ask from {SINCE} on"),
    ({"start": "2025-02-25T10:07:00.5Z", "interval": "day"}, "start", "whole minutes"),
    ({"end": "2025-02-25T10:07:00.5Z", "interval": "week"}, "end", "whole minutes"),
    ({"start": "2025-02-25", "end": "2025-02-26", "interval": "minute", "aggregates": ["p50"]}, "start", "whole hours"),
    ({"year": 2025, "interval": "raw"}, "year", "ask from"),
]


@pytest.mark.parametrize(("asked", "field", "works"), REFUSED)
async def test_what_has_expired_is_refused_with_what_would_work(
    expired: Service, of_m: Json, asked: Json, field: str, works: str
) -> None:
    response = await expired.http.post("/api/samples/query", json={**of_m, **asked})
    assert response.status_code == 422, response.text
    problem = response.json()
    assert problem["errors"][0]["field"] == field, problem
    assert f"samples taken before {SINCE} have expired" in problem["detail"]
    assert works in problem["detail"]
