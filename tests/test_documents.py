"""The OpenAPI document and its pages; schemathesis asks whatever the document allows, and nothing may break."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDsn
from tests.process import ServiceProcess
from tests.service import Service, open_service

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = ("/docs", "/redoc", "/api/docs", "/api/redoc")
DOCUMENTS = ("/openapi.json", "/api/schema")
PATHS = {
    "/api/events",
    "/api/samples",
    "/api/blogs",
    "/api/blogs/{blog_id}",
    "/api/viewers/{viewer_id}",
    "/api/sites/{site}",
    "/api/authors",
    "/api/analytics/blog-views",
    "/api/analytics/blog-views/{group_by}",
    "/api/analytics/top",
    "/api/analytics/top/{top}",
    "/api/analytics/performance",
    "/api/rollups",
    "/api/rollups/optimal",
    "/api/samples/query",
    "/api/samples/metrics",
    "/api/samples/labels",
    "/api/backfills",
    "/api/backfills/{id}",
    "/api/jobs",
    "/api/jobs/{id}",
    "/api/reconciliations",
    "/api/schedule",
    "/api/schedule/{name}",
    "/api/dead-letters",
    "/api/dead-letters/{id}",
    "/api/dead-letters/{id}/retry",
    "/api/imports",
    "/api/imports/{id}",
    "/api/doctor",
    "/api/export",
    "/api/v1/write",
    "/healthz",
    "/readyz",
    "/metrics",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("documents") / "data") as service:
        yield service


def test_no_question_breaks_the_service(served: ServiceProcess, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", "--no-color"),
            *("--checks", "not_a_server_error", "--max-examples", "15"),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    paths = httpx.get(f"{served.url}/openapi.json").json()["paths"].values()
    operations = sum(len(path) for path in paths)
    assert f"{operations}/{operations}" in done.stdout


async def test_document_describes_every_path_with_an_example_for_every_body(service: Service) -> None:
    document = (await service.http.get("/openapi.json")).json()
    assert set(document["paths"]) == PATHS
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            for body in operation.get("requestBody", {}).get("content", {}).values():
                assert body.get("example") or body.get("examples"), (method, path)
            named = {part["name"] for part in operation.get("parameters", ()) if part["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), (method, path)
    assert "503" in document["paths"]["/readyz"]["get"]["responses"]


async def test_examples_of_bodies_are_accepted(service: Service) -> None:
    document = (await service.http.get("/openapi.json")).json()
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                for example in body.get("examples", {}).values():
                    value = example["value"]
                    at = path.replace("{group_by}", value.get("group_by", "")) if "{group_by}" in path else path
                    at = at.replace("{top}", value["top"]) if "{top}" in path else at
                    sent = {"content": value} if isinstance(value, str) else {"json": value}
                    response = await service.http.request(method, at, headers={"Content-Type": kind}, **sent)
                    assert response.is_success, (path, value, response.text)
                    asked += 1
    assert asked >= 8


@pytest.mark.parametrize("path", PAGES)
async def test_pages_load_nothing_from_elsewhere(service: Service, path: str) -> None:
    page = await service.http.get(path)
    assert page.status_code == 200
    assert "https://" not in page.text.replace("https://readership.test", "")
    for asset in [part.split('"')[0] for part in page.text.split('="/docs-assets/')[1:]]:
        assert (await service.http.get(f"/docs-assets/{asset}")).status_code == 200


async def test_documents_have_aliases(service: Service) -> None:
    one, other = [(await service.http.get(path)).json() for path in DOCUMENTS]
    assert one == other


async def test_health_and_readiness(service: Service) -> None:
    assert (await service.http.get("/healthz")).json() == {"status": "ok"}
    assert (await service.http.get("/readyz")).json() == {"status": "ready"}


async def test_redis_away_is_named_and_events_are_taken_all_the_same(new_dsn: NewDsn, folder: Path, site: str) -> None:
    async with open_service(new_dsn(), "redis://127.0.0.1:9/0", folder) as service:
        ready = await service.http.get("/readyz")
        assert (ready.status_code, ready.json()["errors"][0]["field"]) == (503, "redis")
        assert (await service.post([{"blog_id": "a", "site": site}]))["accepted"] == 1
