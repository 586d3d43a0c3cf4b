"""A statement that does not end says so."""

from __future__ import annotations

import asyncio

import pytest

from clickhouse import slow
from clickhouse.engine import Engine
from clickhouse.statement import Statement


async def test_what_takes_long_is_named_while_it_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slow, "SLOW", 0.25)
    await engine.select(Statement("SELECT\n  sleep({seconds:Float64})", {"seconds": "2.5"}))
    told = [one.getMessage() for one in caplog.records if one.name == slow.__name__]
    assert told[:2] == [
        "not ended after 0.25 seconds: SELECT sleep({seconds:Float64})",
        "not ended after 0.5 seconds: SELECT sleep({seconds:Float64})",
    ]
    await asyncio.sleep(1.5)
    assert [
        one.getMessage() for one in caplog.records if one.name == slow.__name__
    ] == told  # nothing more once it has ended
