"""The books of a test: what was sent, and what the service said about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.service import Json


class Fact(NamedTuple):
    """An event without its id; `viewed_at` is in epoch milliseconds."""

    site: str
    blog_id: str
    author_id: str
    country: str
    viewer_id: str
    viewed_at: int


class Ledger:
    """Ids by what became of them. An event is counted once, however often and with whatever outcome it was sent."""

    def __init__(self) -> None:
        self.sent: dict[str, Fact] = {}
        self.acknowledged: set[str] = set()
        """Must be there."""
        self.refused: set[str] = set()
        """Answered 503 at least once."""
        self.unanswered: set[str] = set()
        """The connection broke before the answer: may be there."""
        self._answered = asyncio.Event()

    def send(self, events: Iterable[Json]) -> None:
        """To be called before the request leaves."""
        for event in events:
            self.sent[event["event_id"]] = Fact(*(event[name] for name in Fact._fields))

    def acknowledge(self, events: Iterable[Json]) -> None:
        self.acknowledged.update(event["event_id"] for event in events)
        self._answered.set()

    def refuse(self, events: Iterable[Json]) -> None:
        self.refused.update(event["event_id"] for event in events)
        self._answered.set()

    def lose(self, events: Iterable[Json]) -> None:
        """Nobody knows what the service did with them."""
        self.unanswered.update(event["event_id"] for event in events)

    @property
    def not_taken(self) -> set[str]:
        """Every answer about them was 503: must not be there."""
        return self.refused - self.acknowledged - self.unanswered

    async def until(self, happened: Callable[[], bool], seconds: float) -> None:
        """Returns when an answer made that true. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not happened():
                self._answered.clear()
                await self._answered.wait()
