"""Events past their retention go, a month at a time; what rollups counted of them stays."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from clickhouse.retention import advance, drop_month, months_before, received_since, watermark
from clickhouse.rollups import GRAINS
from clickhouse.shapes import Dataset
from workers.fence import Fence

logger = logging.getLogger(__name__)

# From the watermark to the first drop. Processes read it every minute (clickhouse/tables.py), questions take seconds;
# a rebuild that takes longer finds the watermark moved, and begins anew.
GRACE = timedelta(minutes=10)

# An event sent again within a day is looked for in raw.
SENT_AGAIN = timedelta(hours=25)

_MONTH = next(grain for grain in GRAINS if grain.name == "month")


@dataclass(frozen=True)
class Retained:
    """`since`: the watermark (epoch ms). Months are raw's partitions, YYYYMM; `held_back` got events of late."""

    since: int
    dropped: tuple[int, ...]
    held_back: tuple[int, ...]


async def retain(engine: Engine, fence: Fence, dataset: Dataset, days: int, now: datetime) -> Retained:
    """Drops months that an earlier run wrote down as expired, then writes down those that have expired by now: of which
    all events are older than `days`. Events of such a time that come in later are counted, and dropped by a later run.

    The watermark never goes back: with longer retention nothing more expires until that is reached again.

    Raises LeaseError, ClickHouseError.
    """
    dropped: list[int] = []
    held_back: list[int] = []
    for month in await months_before(engine, dataset, await watermark(engine, dataset, epoch_ms(now - GRACE))):
        # Whether one came in is asked where none can.
        async with fence.closed():
            late = await received_since(engine, dataset, month, epoch_ms(now - SENT_AGAIN))
            if not late:
                await drop_month(engine, dataset, month)
        (held_back if late else dropped).append(month)
    since = _MONTH.floor(epoch_ms(now - timedelta(days=days)))
    if since > await watermark(engine, dataset):
        await advance(engine, dataset, since, epoch_ms(now))
        logger.info("%s of times before %s have expired", dataset.name, rfc3339(from_epoch_ms(since)))
    return Retained(await watermark(engine, dataset), tuple(dropped), tuple(held_back))
