"""The ledger of long work: what a job's units say is what the job says, whoever wrote last or twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from clickhouse.engine import Engine
from clickhouse.jobs import delete_ended
from clickhouse.migrate import migrate
from workers.jobs.job import Job, Kind, Status, Unit, UnitState
from workers.jobs.ledger import JobEnded, Ledger, NoSuchJob
from workers.jobs.work import Outcome

DAY, WEEK = Unit("day[2026]", "rebuild", "day", 1, {"clear": True, "year": 2026}, 300), Unit("week[2026]", "x", "week")
LATER = Unit("year[202]", "rebuild", "year", 2)
ASKED = {"granularity": "all", "start": "2026-01-01"}


class Clock:
    """A second later whenever it is asked."""

    def __init__(self) -> None:
        self.at = datetime(2026, 7, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
async def ledger(engine: Engine) -> Ledger:
    await migrate(engine)
    return Ledger(engine, Clock())


async def begun(ledger: Ledger, job: Job, unit: Unit) -> UnitState:
    state = await ledger.begin(await ledger.find(job.id), unit.name)
    assert state is not None
    return state


async def done(ledger: Ledger, job: Job, unit: Unit, outcome: Outcome = Outcome()) -> None:  # noqa: B008 (frozen)
    await ledger.finish(job.id, await begun(ledger, job, unit), outcome)


async def due(ledger: Ledger) -> list[str]:
    return [one.state.unit.name for one in await ledger.due()]


async def test_a_job_is_found_as_it_was_asked_for(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY, WEEK])
    assert job == await ledger.find(job.id)
    assert (job.kind, job.parameters, [one.unit for one in job.units]) == (Kind.BACKFILL, ASKED, [DAY, WEEK])
    assert job.status is Status.QUEUED
    with pytest.raises(NoSuchJob):
        await ledger.find("backfill-0-1")


async def test_the_same_request_joins_until_the_job_has_ended(ledger: Ledger) -> None:
    first, same = await asyncio.gather(*(ledger.create(Kind.BACKFILL, ASKED, [DAY]) for _ in range(2)))
    assert first.id == same.id
    assert (await ledger.page(None, 10, 0))[0] == 1
    others = [
        await ledger.create(Kind.BACKFILL, {"granularity": "day"}, [DAY]),
        await ledger.create(Kind.RECONCILE, ASKED, [DAY]),
    ]
    assert len({first.id, *(other.id for other in others)}) == 3
    assert await ledger.unfinished(Kind.BACKFILL, ASKED) == await ledger.find(first.id)
    for _ in range(11):  # two digits sort after one
        await done(ledger, first, DAY)
        assert (await ledger.find(first.id)).status is Status.DONE
        assert await ledger.unfinished(Kind.BACKFILL, ASKED) is None
        following = await ledger.create(Kind.BACKFILL, ASKED, [DAY])
        assert following.id != first.id
        assert following.status is Status.QUEUED
        first = following
    assert (await ledger.page(Kind.BACKFILL, 100, 0))[0] == 13


async def test_a_request_that_comes_late_changes_nothing_that_was_done(ledger: Ledger, engine: Engine) -> None:
    # Both looked before either wrote: the second writes the same rows once more, after the first has gone on.
    slow = Ledger(engine, Clock())
    writing = asyncio.Event()

    async def nobody(*_: object) -> tuple[str, None]:
        prefix = (await Ledger._last(slow, Kind.BACKFILL, ASKED))[0]
        await writing.wait()
        return prefix, None

    slow._last = nobody  # type: ignore[method-assign, assignment]
    late = asyncio.create_task(slow.create(Kind.BACKFILL, ASKED, [DAY, WEEK]))
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY, WEEK])
    await done(ledger, job, DAY)
    cancelled = await ledger.cancel(job.id)
    writing.set()
    assert (await late).units == cancelled.units
    assert (await late).status is Status.CANCELLED


async def test_stages_come_one_by_one_and_units_of_one_side_by_side(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [LATER, DAY, WEEK])
    assert await due(ledger) == [DAY.name, WEEK.name]
    assert await ledger.begin(await ledger.find(job.id), LATER.name) is None
    await done(ledger, job, DAY)
    await begun(ledger, job, WEEK)
    assert await due(ledger) == [WEEK.name]
    found = await ledger.find(job.id)
    assert (found.status, found.current) == (Status.RUNNING, [WEEK.name])
    await done(ledger, job, WEEK)
    assert await due(ledger) == [LATER.name]
    await done(ledger, job, LATER)
    assert await due(ledger) == []
    assert (await ledger.find(job.id)).status is Status.DONE


async def test_a_unit_brings_units_of_later_stages_once(ledger: Ledger) -> None:
    job = await ledger.create(Kind.DELETION, {}, [DAY])
    state = await begun(ledger, job, DAY)
    for _ in range(2):
        await ledger.finish(job.id, state, Outcome(more=(WEEK, LATER, DAY), note="12 rows went"))
    assert await due(ledger) == [WEEK.name]
    await done(ledger, job, WEEK, Outcome(more=(LATER, WEEK)))
    found = await ledger.find(job.id)
    assert [(one.unit, one.status) for one in found.units] == [
        (DAY, Status.DONE),
        (WEEK, Status.DONE),
        (LATER, Status.QUEUED),
    ]
    assert found.units[0].note == "12 rows went"


async def test_a_failed_unit_fails_the_job_when_the_others_of_its_stage_are_done(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY, WEEK, LATER])
    await ledger.fail(job.id, await begun(ledger, job, DAY), "the events have expired")
    assert (await ledger.find(job.id)).status is Status.RUNNING
    await done(ledger, job, WEEK)
    found = await ledger.find(job.id)
    assert (found.status, found.error) == (Status.FAILED, f"{DAY.name}: the events have expired")
    assert await due(ledger) == []
    with pytest.raises(JobEnded):
        await ledger.cancel(job.id)


async def test_a_unit_is_tried_again_after_a_pause_and_given_back_without(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY])
    await ledger.again(job.id, await begun(ledger, job, DAY), error="ClickHouse is away", seconds=3600, failed=True)
    assert await due(ledger) == []
    found = await ledger.find(job.id)
    assert (found.status, found.error, found.units[0].failures) == (Status.QUEUED, f"{DAY.name}: ClickHouse is away", 1)
    other = await ledger.create(Kind.BACKFILL, {}, [DAY])
    await ledger.again(other.id, await begun(ledger, other, DAY))
    assert await due(ledger) == [DAY.name]
    again = await begun(ledger, other, DAY)
    assert (again.attempt, again.failures) == (2, 0)


async def test_what_a_holder_without_its_lease_says_late_counts_for_nothing(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY])
    lost = await begun(ledger, job, DAY)
    again = await begun(ledger, job, DAY)
    assert (again.attempt, again.failures, again.error) == (2, 1, "its worker died")
    await ledger.finish(job.id, lost, Outcome())
    await ledger.fail(job.id, lost, "it was slow")
    await ledger.report(job.id, lost, 1)
    assert (await ledger.find(job.id)).units[0] == again
    await ledger.finish(job.id, again, Outcome())
    assert (await ledger.find(job.id)).status is Status.DONE


async def test_cancelled_is_not_what_was_done_before(ledger: Ledger) -> None:
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY, WEEK])
    state = await begun(ledger, job, DAY)
    cancelled = await ledger.cancel(job.id)
    assert (cancelled.status, cancelled.current) == (Status.CANCELLED, [])
    assert await due(ledger) == []
    assert await ledger.begin(cancelled, WEEK.name) is None
    await ledger.finish(job.id, state, Outcome())  # it was about to
    assert (await ledger.find(job.id)).status is Status.CANCELLED
    with pytest.raises(JobEnded, match="cancelled already"):
        await ledger.cancel(job.id)
    with pytest.raises(NoSuchJob):
        await ledger.cancel("backfill-0-1")


async def test_progress_is_told_by_rows_and_by_group(ledger: Ledger) -> None:
    more = Unit("day[2025]", "rebuild", "day", 1, {}, 100)
    job = await ledger.create(Kind.BACKFILL, ASKED, [DAY, more, WEEK])
    state = await begun(ledger, job, DAY)
    await ledger.report(job.id, state, 150)
    found = await ledger.find(job.id)
    now = found.started_at + 10_000
    told = found.progress(now, "day")
    assert (told.status, told.units, told.units_done, told.rows, told.rows_done) == (Status.RUNNING, 2, 0, 400, 150)
    assert (told.rate, told.eta_seconds) == (15, 250 / 15)
    assert found.progress(now, "week").eta_seconds is None
    assert found.progress(now).rows == 400
    await ledger.finish(job.id, state, Outcome(rows=310))
    await done(ledger, job, more)
    found = await ledger.find(job.id)
    told = found.progress(now, "day")
    assert (told.status, told.units_done, told.rows, told.rows_done, told.eta_seconds) == (Status.DONE, 2, 410, 410, 0)
    assert list(found.groups) == ["day", "week"]


async def test_jobs_are_listed_newest_first(ledger: Ledger) -> None:
    ids = [(await ledger.create(Kind.BACKFILL, {"year": year}, [DAY])).id for year in range(5)]
    ids.append((await ledger.create(Kind.RETENTION, {}, [])).id)
    count, jobs = await ledger.page(None, 2, 1)
    assert (count, [job.id for job in jobs]) == (6, [ids[4], ids[3]])
    count, jobs = await ledger.page(Kind.RETENTION, 10, 0)
    assert (count, [(job.id, job.status) for job in jobs]) == (1, [(ids[5], Status.DONE)])


async def test_jobs_that_ended_long_ago_are_forgotten(ledger: Ledger, engine: Engine) -> None:
    ended = await ledger.create(Kind.BACKFILL, ASKED, [DAY])
    await done(ledger, ended, DAY)
    waiting = await ledger.create(Kind.BACKFILL, {"granularity": "day"}, [DAY])
    cancelled = await ledger.create(Kind.BACKFILL, {"granularity": "week"}, [WEEK])
    await ledger.cancel(cancelled.id)
    assert await delete_ended(engine, ledger.now_ms() - 60_000) == 0
    assert await delete_ended(engine, ledger.now_ms()) == 2
    assert (await ledger.page(None, 10, 0)) == (1, [waiting])
    for job in (ended, cancelled):
        with pytest.raises(NoSuchJob):
            await ledger.find(job.id)
    again = await ledger.create(Kind.BACKFILL, ASKED, [DAY, WEEK])
    assert [one.status for one in again.units] == [Status.QUEUED, Status.QUEUED]
