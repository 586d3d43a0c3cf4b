"""What a running service holds; built in the lifespan, handed to routes, never global."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from redis.asyncio import Redis

from clickhouse.engine import Engine, open_engine
from clickhouse.events import Event
from clickhouse.migrate import migrate
from clickhouse.samples import Sample
from clickhouse.tables import Tables
from service import clock
from service.analytics.cache import Cache
from service.events.ids import NewIds
from service.events.places import Places, open_places
from service.events.viewers import DailySalt
from service.ingest.idempotency import Idempotency
from service.samples.arrivals import Arrivals
from service.settings import Settings
from service.ways import Ways
from workers.claims import Claims
from workers.dead_letters import DeadLetters, Retries
from workers.fence import Fence
from workers.flush_status import FlushStatus
from workers.imports import Imports
from workers.intake import Rows
from workers.jobs.ledger import Ledger
from workers.jobs.queue import UnitQueue
from workers.jobs.work import Work
from workers.jobs.worker import working
from workers.metrics import Metrics
from workers.numbering import Numbering
from workers.preparing import PreparingEvents, PreparingSamples
from workers.queue import open_queue
from workers.retries import RetriesByDataset
from workers.scheduling import Schedules, plans
from workers.spool_status import SpoolStatus
from workers.versions import Versions
from workers.writing import WRITING_EVENTS, WRITING_SAMPLES


@dataclass(frozen=True)
class State:
    settings: Settings
    engine: Engine
    tables: Tables
    redis: Redis
    events: Rows[Event]
    samples: Rows[Sample]
    versions: Versions
    cache: Cache
    salt: DailySalt
    idempotency: Idempotency
    new_ids: NewIds
    arrivals: Arrivals
    places: Places
    registry: asyncio.Lock
    """Held while blogs or authors are read, changed and written back."""
    texts: asyncio.Lock
    """Held while a text of samples is read, which takes a thread some seconds."""
    messages: asyncio.Lock
    """Held while a remote write is parsed."""
    metrics: Metrics
    spools: tuple[SpoolStatus, ...]
    """Of events and of samples."""
    flushes: tuple[FlushStatus, ...]
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
        fence = Fence(redis, waited=metrics.fence_seconds.observe)
        ways = Ways(settings, engine, redis, claims, fence, versions, dead_letters, metrics)
        of_events = await stack.enter_async_context(
            ways.open(WRITING_EVENTS, "spool", PreparingEvents(engine, claims, Numbering(engine, redis)))
        )
        of_samples = await stack.enter_async_context(
            ways.open(WRITING_SAMPLES, "sample-spool", PreparingSamples(engine, claims))
        )
        metrics.watch_spool(of_events.spool)
        metrics.watch_spool(of_samples.spool, of="sample_", rows="samples")
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
            events=of_events.intake,
            samples=of_samples.intake,
            versions=versions,
            cache=Cache(versions, settings, metrics),
            salt=DailySalt(redis),
            idempotency=Idempotency(redis),
            new_ids=NewIds(),
            arrivals=Arrivals(),
            places=places,
            registry=asyncio.Lock(),
            texts=asyncio.Lock(),
            messages=asyncio.Lock(),
            metrics=metrics,
            spools=(of_events.spool, of_samples.spool),
            flushes=(of_events.flusher.status, of_samples.flusher.status),
            dead_letters=dead_letters,
            retries=RetriesByDataset({"views": of_events.flusher, "samples": of_samples.flusher}),
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


def state_of(request: Request) -> State:
    state: State = request.app.state.readership
    return state
