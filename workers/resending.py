"""Dead letters sent again as they are: the payload is a block in Native format."""

from __future__ import annotations

import asyncio

from clickhouse.engine import Engine
from clickhouse.events import Block, insert
from workers.dead_letters import Letter
from workers.versions import Versions


class Resending:
    """One at a time: of two inserts with one token at once, neither could know of the other."""

    def __init__(self, engine: Engine, versions: Versions) -> None:
        self._engine = engine
        self._versions = versions
        self._turn = asyncio.Lock()

    async def retry(self, letter: Letter) -> None:
        """As `workers.dead_letters.Retries` says."""
        async with self._turn:
            await insert(self._engine, Block(letter.token, letter.payload))
        await self._versions.bump(letter.sites)
