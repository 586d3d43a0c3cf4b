"""A materialized view of somebody else's that throws for a while.

On a server only: an embedded ClickHouse is open in one process, so nobody else can put a view there.
"""

from __future__ import annotations

from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.case import Case
from tests.fault.servers import execute, service_on

_FUSE = "CREATE TABLE fuse (x UInt8) ENGINE = Null"
_VIEW = (
    "CREATE MATERIALIZED VIEW throwing TO fuse AS"
    " SELECT toUInt8(throwIf(e.site != '', 'on purpose')) AS x FROM view_events AS e"
)


async def test_throwing_view(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with service_on(clickhouse, tmp_path) as service:
        await execute(clickhouse, _FUSE)
        async with case.load(service):
            await case.moment()
            await execute(clickhouse, _VIEW)
            await case.acknowledged_during(case.form.outage_seconds)
            await execute(clickhouse, "DROP VIEW throwing SYNC")
            case.faults["views that threw"] += 1
        await case.prove(service, clickhouse)
