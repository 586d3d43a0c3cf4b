"""What a service and those who work for it have used: CPU, and bytes written."""

from __future__ import annotations

from dataclasses import dataclass
from operator import sub

from bench.history import Figures
from bench.proc import Cpu, Written, descendants
from bench.service import Process


@dataclass(frozen=True)
class Usage:
    """CPU seconds and bytes. `loop` is the service's main thread, `rest` its others (embedded: ClickHouse among them);
    `server` is nothing where ClickHouse is embedded.

    Bytes count when a page of the page cache becomes dirty, 4,096 for each however little of it is new: an fsync after
    250 bytes is a whole page, and the next one the same page again; what is written twice between two write-backs is
    one. The journal of the file system is not in them (`device` has it, and what everybody else wrote).
    `undone` are those that never reached the disk, for their file was gone before.
    """

    loop: float
    rest: float
    server: float
    valkey: float
    service_bytes: float
    server_bytes: float
    valkey_bytes: float
    undone_bytes: float
    device_bytes: float

    @classmethod
    def of(cls, service: Process, server: int | None) -> Usage:
        """Since the start of each."""
        own, others = service.cpu(), descendants(service.pid)
        written = Written.of(service.pid)
        beside = [Written.of(server)] if server else []
        children = [Written.of(child) for child in others]
        return cls(
            loop=own.main,
            rest=own.total - own.main,
            server=Cpu.of(server).total if server else 0.0,
            valkey=sum(Cpu.of(child).total for child in others),
            service_bytes=written.dirtied,
            server_bytes=sum(one.dirtied for one in beside),
            valkey_bytes=sum(one.dirtied for one in children),
            undone_bytes=sum(one.undone for one in (written, *beside, *children)),
            device_bytes=Written.on_device(service.folder),
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*map(sub, vars(self).values(), vars(other).values()))

    def cpu(self, part: str, events: int) -> Figures:
        """µs an event, which is seconds per million events."""
        micro = 1e6 / events
        return {
            f"{part}.loop_us": self.loop * micro,
            f"{part}.rest_us": self.rest * micro,
            f"{part}.server_us": self.server * micro,
            f"{part}.valkey_us": self.valkey * micro,
        }

    def written(self, part: str, events: int) -> Figures:
        """Bytes an event."""
        return {
            f"{part}.service_bytes": self.service_bytes / events,
            f"{part}.server_bytes": self.server_bytes / events,
            f"{part}.valkey_bytes": self.valkey_bytes / events,
            f"{part}.undone_bytes": self.undone_bytes / events,
            f"{part}.device_bytes": self.device_bytes / events,
        }
