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
from service.analytics.cache import Cache
from service.events.idempotency import Idempotency
from service.events.ids import NewIds
from service.events.places import Places, open_places
from service.events.viewers import DailySalt
from service.settings import Settings
from workers.batch_folder import BatchFolder
from workers.dead_letters import DeadLetters, Retries
from workers.flush_status import FlushStatus
from workers.flusher import Events, Flusher
from workers.journal import Journal
from workers.metrics import Metrics
from workers.numbering import Numbering
from workers.queue import open_queue
from workers.resending import Resending
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
        flusher = Flusher(engine, Journal(settings.data_dir / "batches"), Numbering(engine, redis), versions)
        stack.push_async_callback(flusher.close)
        metrics = Metrics()
        spool = BatchFolder(settings.data_dir / "batches")
        metrics.watch_spool(spool)
        dead_letters = DeadLetters(settings.data_dir / "dead-letters")
        metrics.watch_dead_letters(dead_letters.count)
        yield State(
            settings=settings,
            engine=engine,
            tables=tables,
            redis=redis,
            events=flusher,
            versions=versions,
            cache=Cache(versions, settings, metrics),
            salt=DailySalt(redis),
            idempotency=Idempotency(redis),
            new_ids=NewIds(),
            places=places,
            registry=asyncio.Lock(),
            dead_letters=dead_letters,
            metrics=metrics,
            spool=spool,
            flushes=FlushStatus(),
            retries=Resending(engine, versions),
        )


def state_of(request: Request) -> State:
    state: State = request.app.state.readership
    return state
