"""A made-up series sent into Readership."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from service.cli.client import open_client, store
from service.synth.made import Made

# Of one request: samples, and bytes of them, which may be 10 MiB.
BATCH = 5_000
_BYTES = 5_000_000

# Digits of a value and a time, at most.
_DIGITS = 45


@dataclass
class Loaded:
    """What became of the samples."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    first_reason: str = ""

    def add(self, answer: dict[str, Any]) -> None:
        rejected = answer["rejected"]
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]
        self.rejected += len(rejected)
        if rejected and not self.first_reason:
            self.first_reason = f"{rejected[0]['field']} {rejected[0]['reason']}".strip()


async def load(made: Made, site: str, url: str | None, moved: Callable[[int], None]) -> Loaded:
    """Returns when all are stored; those that are known already count as duplicates.

    Raises NoService, RefusedByService.
    """
    encoder, loaded = msgspec.json.Encoder(), Loaded()
    series = {"site": site, "metric": made.metric, "labels": made.labels}
    headers = {"Content-Type": "application/x-ndjson"}
    async with open_client(url) as client:
        line = len(encoder.encode({**series, "at": 0, "value": 0.0})) + _DIGITS
        for batch in made.batches(max(1, min(BATCH, _BYTES // line))):
            body = encoder.encode_lines([{**series, "at": 1_000 * at, "value": value} for at, value in batch])
            loaded.add(await store(client, "/api/samples", content=body, headers=headers))
            moved(len(batch))
    return loaded
