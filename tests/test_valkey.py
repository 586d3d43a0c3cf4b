"""The private Valkey: a process of the service's own, which outlives whoever kills it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.process import ServiceProcess
from workers.valkey import ValkeyUnavailable, private_valkey

_SECONDS = 60


def test_a_killed_one_is_started_again_and_the_service_is_ready_as_before(tmp_path: Path) -> None:
    event = {"blog_id": "a", "event_id": str(uuid4())}
    with ServiceProcess(tmp_path / "data") as service, httpx.Client(base_url=service.url, timeout=30) as client:
        assert client.post("/api/events?wait=stored", json=event).json()["accepted"] == 1
        for _ in range(2):
            killed = service.valkey_pid()
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            deadline = time.monotonic() + _SECONDS
            while service.valkey_pid() in {killed, None} or client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline, client.get("/readyz").text
                time.sleep(0.1)
        again = client.post("/api/events?wait=stored", json=event).json()
        assert client.get("/api/analytics/top/blog/").json()["results"][0]["z"] == 1, again


async def test_one_that_does_not_start_again_is_tried_until_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with private_valkey(tmp_path) as redis:
        killed = (await redis.info("server"))["process_id"]
        await redis.set("kept", 1)
        await redis.waitaof(1, 0, 10_000)
        files = tmp_path / "appendonlydir"
        hidden = tmp_path / "hidden"
        files.rename(hidden)
        files.write_text("no folder")
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + _SECONDS
        while "the embedded Valkey does not start" not in caplog.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        files.unlink()
        hidden.rename(files)
        while not await _answers(redis):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        assert await redis.get("kept") == b"1"


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


@pytest.mark.parametrize("name", ["a b", "x" * 120])
async def test_a_folder_it_cannot_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValkeyUnavailable, match="move READERSHIP_DATA_DIR"):
        async with private_valkey(tmp_path / name):
            pytest.fail("it started")
