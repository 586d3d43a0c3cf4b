"""Every task that a unit may name."""

from __future__ import annotations

from collections.abc import Mapping

from workers.jobs.rebuilding import rebuild_partition
from workers.jobs.work import Task

TASKS: Mapping[str, Task] = {
    "rebuild": rebuild_partition,
}
