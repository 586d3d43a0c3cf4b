"""Every task that a unit may name."""

from __future__ import annotations

from collections.abc import Mapping

from workers.jobs.attributing import attribute
from workers.jobs.deleting import erase_found, find, verify
from workers.jobs.rebuilding import rebuild_partition
from workers.jobs.work import Task

TASKS: Mapping[str, Task] = {
    "attribute": attribute,
    "erase": erase_found,
    "find": find,
    "rebuild": rebuild_partition,
    "verify": verify,
}
