"""The tasks of a deletion: find → erase → rebuild every partition it touches → verify.

Each writes down what is to follow before it does what would hide that: raw that was erased does not tell which days it
touched. So whatever ends a unit, the job goes on and ends the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from redis.exceptions import RedisError

from clickhouse.deletion import (
    Deletion,
    Of,
    any_of,
    erase,
    erase_expired,
    expired_partitions,
    kept_views,
    received_ids,
    touched,
    write_down,
)
from clickhouse.engine import Engine
from clickhouse.instants import epoch_ms, from_epoch_ms, rfc3339
from clickhouse.partitions import by_partition
from clickhouse.retention import watermark
from clickhouse.rollups import GRAINS, VIEWS
from clickhouse.spans import Span, merged
from workers.claims import KEPT, forget
from workers.fence import BATCHES, Fence
from workers.jobs.attributing import as_text, spans_in
from workers.jobs.job import Job, Kind, Unit, Value
from workers.jobs.ledger import Ledger
from workers.jobs.rebuilding import rebuild_unit
from workers.jobs.work import Outcome, Work
from workers.lease import Away
from workers.repair import repair

# Stages of the first round; another, for rows that come to light at its end, has the next ones.
FIND, ERASE, REBUILD, VERIFY = range(4)
ROUND = 4

# Spans of touched days in a unit's arguments, 28 bytes each: what lies between two of them is verified as well.
_SPANS = 500


async def request(ledger: Ledger, engine: Engine, deletion: Deletion) -> Job:
    """From now on events that were received before are dropped where they wait; the job does the rest.

    Raises ClickHouseError.
    """
    await write_down(engine, deletion)
    parameters: dict[str, Value] = {
        "site": deletion.site,
        "of": deletion.of.value,
        "key": deletion.key,
        "asked_at": deletion.asked_at,
    }
    first = _unit("find", FIND, {**parameters, "round": 0, "looks": 0, "days": ""})
    return await ledger.create(Kind.DELETION, parameters, [first])


async def find(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Which days are touched, once no batch is on its way that was made before the deletion was written down.

    Raises LeaseError, ClickHouseError.
    """
    deletion = _deletion(arguments)
    await Fence(work.redis, BATCHES).passed()
    rows, days = await touched(work.engine, deletion)
    if not rows and deletion.of is not Of.SITE:
        return Outcome(rows=0, note=await _note(work.engine, deletion, "no event was there to be deleted"))
    return Outcome(rows=0, more=_following(arguments, rows, days))


async def erase_found(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Takes the rows away, unless some lie in days that no rebuild is written down for.

    Raises LeaseError, ClickHouseError.
    """
    deletion = _deletion(arguments)
    rows, days = await touched(work.engine, deletion)
    known = spans_in(str(arguments["days"]))
    if merged([*known, *days], _SPANS) != known:
        return Outcome(rows=0, more=_following(arguments, rows, days))
    if rows:
        await _forget(work, deletion)
        await erase(work.engine, deletion)
    if deletion.of is Of.SITE:
        since = await watermark(work.engine, VIEWS)
        for partition in await expired_partitions(work.engine, since):
            async with work.fence.alone(partition.staging):
                await erase_expired(work.engine, partition, deletion.site, since)
    work.tables.labels.forget()
    await work.versions.bump({deletion.site})
    note = await _note(work.engine, deletion, f"{rows} events were deleted")
    return Outcome(rows=rows, more=(_unit("verify", VERIFY, arguments),), note=note)


async def verify(work: Work, arguments: Mapping[str, Value], progress: Callable[[int], None]) -> Outcome:
    """Raw holds none of it, and no rollup differs from raw where it lay; what does is repaired. Rows that came to light
    only now are another round.

    Raises LeaseError, StillDrifting, ClickHouseError.
    """
    deletion = _deletion(arguments)
    if await any_of(work.engine, deletion):
        next_round = {**arguments, "round": int(arguments["round"]) + 1, "looks": 0, "days": ""}
        return Outcome(rows=0, more=(_unit("find", FIND, next_round),))
    days = spans_in(str(arguments["days"]))
    repaired = await repair(work.engine, work.fence, work.versions, VIEWS, days, f"deletion-{deletion.asked_at}")
    names = ", ".join(str(one.partition) for one in repaired)
    return Outcome(rows=0, note=f"repaired {names}" if names else "no rollup differs from raw")


def _following(arguments: Mapping[str, Value], rows: int, days: Sequence[Span]) -> tuple[Unit, ...]:
    """To erase, and to rebuild all that this touches; partitions named twice are rebuilt once."""
    known = merged([*spans_in(str(arguments["days"])), *days], _SPANS)
    again = {**arguments, "days": as_text(known), "looks": int(arguments["looks"]) + 1}
    rebuilds = [
        rebuild_unit(partition, rows, stage=REBUILD) for grain in GRAINS for partition in by_partition(grain, days)
    ]
    return _unit("erase", ERASE, again, rows), *(_in_round(unit, again) for unit in rebuilds)


def _unit(task: str, stage: int, arguments: Mapping[str, Value], rows: int = 0) -> Unit:
    looks = int(arguments["looks"]) if task == "erase" else 1
    name = task if looks == 1 else f"{task} {looks}"
    return _in_round(Unit(name, task, task, stage, arguments, rows), arguments)


def _in_round(unit: Unit, arguments: Mapping[str, Value]) -> Unit:
    """Names are unique in a job, and those of a round done before are passed over."""
    number = int(arguments["round"])
    name = f"{unit.name} (round {number + 1})" if number else unit.name
    return replace(unit, name=name, stage=unit.stage + ROUND * number)


def _deletion(arguments: Mapping[str, Value]) -> Deletion:
    of, key = Of(str(arguments["of"])), str(arguments["key"])
    return Deletion(str(arguments["site"]), of, key, int(arguments["asked_at"]))


async def _forget(work: Work, deletion: Deletion) -> None:
    """First of all: once the rows are gone, nobody knows which ids they had."""
    try:
        async for ids in received_ids(work.engine, deletion, since=epoch_ms(work.now()) - KEPT):
            await forget(work.redis, deletion.site, ids)
    except (RedisError, OSError) as error:
        raise Away(f"Redis is away: {error}") from error


async def _note(engine: Engine, deletion: Deletion, done: str) -> str:
    """Says as well what cannot be undone: of expired events there are rollups alone, made of more than this."""
    since = await watermark(engine, VIEWS)
    if not since or deletion.of is Of.SITE:
        return done
    kept = await kept_views(engine, deletion, since)
    what = "whatever they counted of it" if kept is None else f"{kept} views of it"
    return (
        f"{done}; buckets that begin before {rfc3339(from_epoch_ms(since))} keep {what}, as their events have expired"
    )
