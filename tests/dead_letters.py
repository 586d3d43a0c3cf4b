"""Dead letters to test with: batches as the flusher would have frozen them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from clickhouse.events import Event
from workers.batches import Batch
from workers.dead_letters import Letter
from workers.writing import WRITING_EVENTS


def event(site: str, number: int = 0) -> Event:
    now = int(time.time() * 1000)
    return Event(uuid4().bytes, site, f"b{number}", "u", "ET", number, now, now, "", "")


def letter(events: Sequence[Event], **changed: Any) -> Letter:
    """Of one site's events; their blogs' numbers are 1, 2, …"""
    token = changed.pop("token", str(uuid4()))
    keys = sorted({(event.site, event.blog_id) for event in events})
    batch = Batch(token, 0, 1, [], [], [(*key, number) for number, key in enumerate(keys, 1)])
    told: dict[str, Any] = {
        "token": token,
        "dataset": "views",
        "refused_at": int(time.time() * 1000),
        "reason": "Value passed to 'throwIf' function is non-zero",
        "code": 395,
        "sites": sorted({event.site for event in events}),
        "rows": len(events),
        "first_at": min(event.viewed_at for event in events),
        "last_at": max(event.viewed_at for event in events),
        "payload": WRITING_EVENTS.seal(batch, events),
    }
    return Letter(**told | changed)
