"""HEAD wherever there is a GET: the same answer, without its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from clickhouse.engine import Row
from service.exports import routes
from tests.service import Service


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/api/blogs/",
        "/api/schedule",
        "/api/analytics/performance?site=nobody&compare=century",
        "/api/jobs/none",
        "/api/events",
        "/docs-assets/favicon.png",
    ],
)
async def test_head_is_get_without_the_body(service: Service, path: str) -> None:
    get, head = await service.http.get(path), await service.http.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length", "cache-control", "allow"):
        assert head.headers.get(name) == get.headers.get(name), name


async def test_head_of_an_export_does_not_make_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    async def endless(*_: object) -> AsyncIterator[list[Row]]:
        nonlocal made
        while True:
            made += 1
            yield []

    monkeypatch.setattr(routes, "sample_portions", endless)
    async with asyncio.timeout(60):
        head = await service.http.head("/api/export?metric=m&format=csv")
    until = made
    await asyncio.sleep(0.1)  # nothing goes on by itself
    assert made == until
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-disposition"] == 'attachment; filename="m.csv"'
