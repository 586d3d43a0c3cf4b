"""A made-up series sent into Readership."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from service.cli.client import RefusedByService, call, open_client
from service.synth.made import Made

BATCH = 5_000


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
        for batch in made.batches(BATCH):
            body = encoder.encode_lines([{**series, "at": 1_000 * at, "value": value} for at, value in batch])
            # 422: none of a batch was acceptable; the answer says of each why.
            sent = {"content": body, "headers": headers}
            answer = await call(client, "POST", "/api/samples?wait=stored", also={422}, **sent)
            if "accepted" not in answer:
                raise RefusedByService(answer["detail"])
            loaded.add(answer)
            moved(len(batch))
    return loaded
