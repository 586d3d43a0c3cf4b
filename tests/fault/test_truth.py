"""The proof itself: what the other tests would overlook if it were blind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.servers import dsn_of, execute, service_on
from tests.fault.settling import settle
from tests.fault.truth import compare


async def test_the_proof_sees_every_kind_of_fault(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with service_on(clickhouse, tmp_path) as service:
        async with case.load(service):
            await case.moment()
        await settle(service.url, case.ledger, case.rng)
        assert await asyncio.to_thread(service.stop) == 0
    dsn, ledger = dsn_of(clickhouse), case.ledger
    one = min(ledger.acknowledged)

    async def kinds() -> set[str]:
        verdict = await compare(dsn, ledger)
        return {text.partition(":")[0] for text in verdict.faults}

    assert await kinds() == set()
    ledger.acknowledged.remove(one)
    ledger.refused.add(one)
    assert await kinds() == {"refused_but_stored"}
    ledger.refused.remove(one)
    fact = ledger.sent.pop(one)
    assert await kinds() == {"never_sent", "wrong_rollups"}
    ledger.sent[one] = fact._replace(country="FR")
    ledger.acknowledged.add(one)
    assert await kinds() == {"altered", "wrong_rollups"}
    ledger.sent[one] = fact
    await execute(
        clickhouse, "ALTER TABLE views_by_week DELETE WHERE dimension_set = 'author' SETTINGS mutations_sync = 2"
    )
    assert await kinds() == {"wrong_rollups"}
    await execute(clickhouse, f"INSERT INTO view_events SELECT * FROM view_events WHERE event_id = '{one}'")
    assert await kinds() == {"doubled", "wrong_rollups"}
    await execute(clickhouse, f"ALTER TABLE view_events DELETE WHERE event_id = '{one}' SETTINGS mutations_sync = 2")
    assert await kinds() == {"lost", "wrong_rollups"}
