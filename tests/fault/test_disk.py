"""A full disk, and one that does not write: 503 while it lasts, then on without a restart; nothing is half-taken."""

from __future__ import annotations

from pathlib import Path

from tests.clickhouse_server import ClickHouseServer
from tests.fault.broken_disk import program
from tests.fault.case import Case
from tests.fault.servers import UNCACHED, embedded, service_on
from tests.fault.small_disk import mounted
from tests.process import ServiceProcess


async def test_full_disk_of_an_embedded_service(case: Case, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk, logging_elsewhere(embedded(disk.folder), tmp_path) as service:
        await case.refused_between(service, disk.fill, disk.empty)
        case.faults["full disks"] += 1
        await case.prove(service)


async def test_full_disk_beside_a_server(case: Case, clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "disk") as disk,
        logging_elsewhere(service_on(clickhouse, disk.folder), tmp_path) as service,
    ):
        await case.refused_between(service, disk.fill, disk.empty)
        case.faults["full disks"] += 1
        await case.prove(service, clickhouse)


async def test_failing_fsync(case: Case, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    with ServiceProcess(tmp_path / "data", program(flag), **UNCACHED) as service:
        await case.refused_between(service, flag.touch, flag.unlink)
        case.faults["fsyncs that failed for a while"] += 1
        await case.prove(service)


def logging_elsewhere(service: ServiceProcess, folder: Path) -> ServiceProcess:
    """Its log is ours and not part of what a full disk costs."""
    service.log = folder / "service.log"
    return service
