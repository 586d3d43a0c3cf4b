"""What schemathesis cannot know: how lines and protobuf bodies are made. Loaded through SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from cramjam import snappy


@schemathesis.serializer("application/x-protobuf")
def block(_context: Any, value: Any) -> bytes:
    """Anything as a snappy block: what is wrong is in it."""
    content = value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
    return bytes(snappy.compress_raw(content))


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
