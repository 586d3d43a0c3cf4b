"""What every fault test has: how long it is, its dice, its books, and the proof at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.clickhouse_server import ClickHouseServer
from tests.fault.load import PATIENCE, Writer, load, make_events
from tests.fault.oracle import Ledger
from tests.fault.servers import dsn_of
from tests.fault.settling import settle
from tests.fault.truth import Verdict, compare
from tests.process import ServiceProcess


@dataclass(frozen=True)
class Form:
    """How much of it: the short form runs with all other tests, the full one is `make fault`."""

    kills: int
    kills_of_both: int
    proxy_seconds: float
    stall_seconds: float
    outage_seconds: float
    bodies: int
    rebuilds: int


# The short form is for every run of the tests; the full one takes two hours and more on two cores.
FORMS = {
    "short": Form(20, 5, proxy_seconds=10, stall_seconds=1.5, outage_seconds=1.5, bodies=2_000, rebuilds=3),
    "full": Form(200, 50, proxy_seconds=300, stall_seconds=30, outage_seconds=30, bodies=100_000, rebuilds=50),
}


@dataclass
class Case:
    name: str
    form: Form
    rng: Random
    ledger: Ledger = field(default_factory=Ledger)
    faults: Counter[str] = field(default_factory=Counter)
    """What was done to the service, by kind."""
    verdict: Verdict | None = None

    def load(self, service: ServiceProcess) -> AbstractAsyncContextManager[None]:
        return load(service.url, self.ledger, self.rng)

    async def moment(self) -> None:
        """A random one: often just after an acknowledgement, sometimes before the first."""
        if self.rng.random() < 0.7:
            before = len(self.ledger.acknowledged)
            await self.ledger.until(lambda: len(self.ledger.acknowledged) > before, PATIENCE)
        await asyncio.sleep(self.rng.uniform(0, 0.3))

    async def acknowledged_during(self, seconds: float) -> None:
        """Waits so long, within `load`; something that was sent meanwhile must be acknowledged meanwhile."""
        before = set(self.ledger.sent)
        await asyncio.sleep(seconds)
        assert self.ledger.acknowledged - before, "nothing was acknowledged while the fault lasted"

    async def refused_between(
        self, service: ServiceProcess, spoil: Callable[[], None], repair: Callable[[], None]
    ) -> None:
        """Under load all of the time: what is refused while spoilt must be taken again once repaired.

        Some clients do not send again; the books say that nothing of theirs may be there.
        """
        async with self.load(service), httpx.AsyncClient(base_url=service.url, timeout=PATIENCE) as client:
            await self.moment()
            spoil()
            await self.ledger.until(lambda: bool(self.ledger.not_taken), PATIENCE)
            for _ in range(10):
                await Writer(service.url, self.ledger, self.rng).post(client, make_events(self.rng, 20))
            await asyncio.sleep(self.form.outage_seconds)
            repair()
            await self.moment()
        assert self.ledger.not_taken, "nobody was refused for good: the test shows nothing"

    async def prove(self, service: ServiceProcess, clickhouse: ClickHouseServer | None = None) -> None:
        """Ends the service, then looks into its ClickHouse; None: the embedded one."""
        await settle(service.url, self.ledger, self.rng)
        status = await asyncio.to_thread(service.stop)
        assert status == 0, f"the service left with status {status}"
        self.verdict = await compare(
            dsn_of(clickhouse) if clickhouse else f"chdb://{service.data}/clickhouse", self.ledger
        )
        assert self.ledger.acknowledged, "nothing was acknowledged: the test shows nothing"
        assert not self.verdict.faults, self.verdict.faults
