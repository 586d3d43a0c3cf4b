"""What a running service holds; built in the lifespan, handed to routes, never global."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from redis.asyncio import Redis

from clickhouse.engine import Engine, open_engine
from clickhouse.migrate import migrate
from clickhouse.tables import Tables
from service import clock
from service.analytics.cache import Cache
from service.events.ids import NewIds
from service.events.places import Places, open_places
from service.events.viewers import DailySalt
from service.ingest.idempotency import Idempotency
from service.settings import Settings
from workers.claims import Claims
from workers.dead_letters import DeadLetters, Retries
from workers.doubt import Doubts
from workers.fence import BATCHES, Fence
from workers.flush_status import FlushStatus
from workers.flusher import Flusher
from workers.imports import Imports
from workers.intake import Events, Intake
from workers.jobs.ledger import Ledger
from workers.jobs.queue import UnitQueue
from workers.jobs.work import Work
from workers.jobs.worker import working
from workers.metrics import Metrics
from workers.numbering import Numbering
from workers.preparing import Preparing
from workers.queue import open_queue
from workers.scheduling import Schedules, plans
from workers.spool.folders import take
from workers.spool.spool import Spool
from workers.spool_status import SpoolStatus
from workers.versions import Versions


@dataclass(frozen=True)
class State:
    settings: Settings
    engine: Engine
    tables: Tables
    redis: Redis
    events: Events
    versions: Versions
    cache: Cache
    salt: DailySalt
    idempotency: Idempotency
    new_ids: NewIds
    places: Places
    registry: asyncio.Lock
    """Held while blogs or authors are read, changed and written back."""
    metrics: Metrics
    spool: SpoolStatus
    flushes: FlushStatus
    dead_letters: DeadLetters
    retries: Retries
    jobs: Ledger
    schedules: Schedules
    imports: Imports


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[State]:
    """Opens ClickHouse (and migrates it), then the queue, then the way in; closes in reverse.

    ClickHouse first: the lock on its folder also says that the Valkey beside it is ours.
    """
    async with AsyncExitStack() as stack:
        places = stack.enter_context(open_places(settings.country_header, settings.geoip_database))
        engine = await open_engine(settings.dsn, settings.limits)
        stack.push_async_callback(engine.close)
        await migrate(engine)
        tables = Tables(engine)
        stack.push_async_callback(tables.close)
        redis = await stack.enter_async_context(open_queue(settings.redis_url, settings.data_dir / "valkey"))
        versions = Versions(redis)
        metrics = Metrics()
        dead_letters = DeadLetters(settings.data_dir / "dead-letters")
        metrics.watch_dead_letters(dead_letters.count)
        claims = Claims(redis, engine, settings.data_dir / "missed-ids")
        stack.push_async_callback(claims.close)
        spools = await stack.enter_async_context(_open_spools(settings, metrics))
        metrics.watch_spool(spools[-1])
        preparing = Preparing(engine, claims, Numbering(engine, redis))
        fence = Fence(redis, waited=metrics.fence_seconds.observe)
        doubts = Doubts(engine, fence, versions, metrics, spools[-1].folder.path)
        underway = Fence(redis, BATCHES)
        flusher = Flusher(engine, spools, preparing, versions, dead_letters, fence, underway, doubts, metrics)
        stack.push_async_callback(flusher.close, settings.stop_seconds)
        intake = Intake(spools[-1], claims, flusher, metrics)
        stack.push_async_callback(intake.close)
        queue = UnitQueue(redis, settings.dsn.database)
        jobs = Ledger(engine, clock.now, queue.put)
        schedules = Schedules(
            *(engine, redis, settings.dsn.database, jobs, clock.now), plans(settings.raw_retention_days)
        )
        if settings.works:
            work = Work(engine, redis, fence, versions, tables, metrics, clock.now)
            tick = schedules.tick if settings.schedules else None
            await stack.enter_async_context(working(work, jobs, queue, settings.worker_jobs, tick=tick))
        yield State(
            settings=settings,
            engine=engine,
            tables=tables,
            redis=redis,
            events=intake,
            versions=versions,
            cache=Cache(versions, settings, metrics),
            salt=DailySalt(redis),
            idempotency=Idempotency(redis),
            new_ids=NewIds(),
            places=places,
            registry=asyncio.Lock(),
            metrics=metrics,
            spool=spools[-1],
            flushes=flusher.status,
            dead_letters=dead_letters,
            retries=flusher,
            jobs=jobs,
            schedules=schedules,
            imports=Imports(engine, redis, settings.dsn.database, clock.now, jobs),
        )


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[None]:
    """Nothing but the worker, on the ClickHouse and the queue of a service."""
    async with AsyncExitStack() as stack:
        engine = await open_engine(settings.dsn, settings.limits)
        stack.push_async_callback(engine.close)
        await migrate(engine)
        tables = Tables(engine)
        stack.push_async_callback(tables.close)
        redis = await stack.enter_async_context(open_queue(settings.redis_url, settings.data_dir / "valkey"))
        queue = UnitQueue(redis, settings.dsn.database)
        jobs = Ledger(engine, clock.now, queue.put)
        schedules = Schedules(
            *(engine, redis, settings.dsn.database, jobs, clock.now), plans(settings.raw_retention_days)
        )
        work = Work(engine, redis, Fence(redis), Versions(redis), tables, Metrics(), clock.now)
        tick = schedules.tick if settings.schedules else None
        await stack.enter_async_context(working(work, jobs, queue, settings.worker_jobs, tick=tick))
        yield


@asynccontextmanager
async def _open_spools(settings: Settings, metrics: Metrics) -> AsyncIterator[list[Spool]]:
    """Those that dead processes left under the data folder, and at last this process's own."""
    folders = await asyncio.to_thread(take, settings.data_dir / "spool")
    spools = [Spool(folder, settings.spool, metrics.fsync_seconds.observe) for folder in folders]
    try:
        yield spools
    finally:
        for spool in spools:
            await spool.close()


def state_of(request: Request) -> State:
    state: State = request.app.state.readership
    return state
