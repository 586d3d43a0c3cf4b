"""Samples on their way in, as tests send them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle_samples import Taken
from tests.service import Service

_AT_ONCE = 20_000


async def send(service: Service, site: str, metric: str, samples: Sequence[Taken]) -> None:
    """All of them are new and acceptable; they are visible when this returns."""
    for first in range(0, len(samples), _AT_ONCE):
        sent = [one.sent(metric, site) for one in samples[first : first + _AT_ONCE]]
        response = await service.http.post("/api/samples", params={"wait": "stored"}, json=sent)
        assert response.status_code == 202, response.text
        assert response.json() == {"accepted": len(sent), "duplicates": 0, "rejected": [], "stored": True}
