"""What schemathesis cannot know: how lines are written. Loaded by its process through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    """Text goes as it is, anything else as one JSON a line."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    rows = value if isinstance(value, list) else [value]
    return "\n".join(map(json.dumps, rows)).encode()


@schemathesis.serializer("application/openmetrics-text")
def text(_context: Any, value: Any) -> bytes:
    return str(value).encode(errors="surrogatepass")
