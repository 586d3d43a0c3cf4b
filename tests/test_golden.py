"""The answers that were agreed on before the code: ../shared/golden/views.json."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.service import Service

GOLDEN = SHARED / "golden" / "views.json"

if not GOLDEN.exists():
    pytest.skip(f"the golden answers are not here: {GOLDEN.name}", allow_module_level=True)

golden = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("question", golden["expected"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_golden_answer(service: Service, golden_site: str, question: str, method: str) -> None:
    endpoint, *parameters = question.split()
    path = f"/api/analytics/{endpoint}/"
    asked = {"site": golden_site, **dict(parameter.split("=") for parameter in parameters)}
    if method == "GET":
        response = await service.http.get(path, params=asked)
    else:
        response = await service.http.post(path, json=asked)
    rows = response.json()["results"]
    expected: list[dict[str, Any]] = golden["expected"][question]
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected


@pytest.fixture(scope="session")
async def golden_site(service: Service) -> str:
    site = "golden"
    await service.post([{**event, "site": site} for event in golden["events"]])
    await service.put("/api/blogs", [{**blog, "site": site} for blog in golden["blogs"]])
    return site
