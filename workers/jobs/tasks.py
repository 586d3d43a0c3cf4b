"""Every task that a unit may name."""

from __future__ import annotations

from collections.abc import Mapping

from workers.jobs.attributing import attribute
from workers.jobs.deleting import erase_found, find, verify
from workers.jobs.rebuilding import rebuild_partition
from workers.jobs.reconciling import correct_month, reconcile_month, reconcile_partition
from workers.jobs.retaining import compact_month, retain_events, tidy
from workers.jobs.work import Task

TASKS: Mapping[str, Task] = {
    "attribute": attribute,
    "compact": compact_month,
    "correct": correct_month,
    "erase": erase_found,
    "find": find,
    "rebuild": rebuild_partition,
    "retain": retain_events,
    "tidy": tidy,
    "verify": verify,
    "reconcile": reconcile_partition,
    "reconcile_raw": reconcile_month,
}
