"""Dead letters go back to the flusher that wrote them."""

from __future__ import annotations

from collections.abc import Mapping

from workers.dead_letters import Letter, Retries, UnreadableLetter


class RetriesByDataset:
    """Retries of every dataset; the name of one is the key."""

    def __init__(self, flushers: Mapping[str, Retries]) -> None:
        self._flushers = flushers

    async def retry(self, letter: Letter) -> None:
        """As `workers.dead_letters.Retries` says."""
        flusher = self._flushers.get(letter.dataset)
        if flusher is None:
            raise UnreadableLetter(f"{letter.token}: there is no dataset {letter.dataset}")
        await flusher.retry(letter)
