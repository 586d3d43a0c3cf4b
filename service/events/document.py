"""POST /api/events in the OpenAPI document; it is no route of FastAPI's, which therefore cannot know it."""

from __future__ import annotations

from typing import Any

from service.events.parse import MAX_TEXT
from service.ingest.document import PARAMETERS, responses
from service.ingest.items import MAX_ITEMS
from service.parameters import DEFAULT_SITE, MAX_ID, MAX_SITE

_DESCRIPTION = f"""\
Count views: one event, an array, or NDJSON, at most {MAX_ITEMS:,} a request; gzip, deflate or zstd.

Every accepted event is on disk when the answer arrives, and will be counted once, in the raw table and in every
rollup, within a second or so; with `wait=stored` the answer comes after that. An `event_id` that was accepted in the
last 24 hours is counted once and reported under `duplicates`; in another site the same id is another event. What is
wrong with one event is told under `rejected`, by its index, and costs no other.

A request with an `Idempotency-Key` can be sent again without harm: for 24 hours it gets the answer of the first time,
and events without an `event_id` have the same ids each time."""

_ID = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_ID}, {"type": "integer"}]}
_URL = {"type": "string", "maxLength": MAX_TEXT}

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["blog_id"],
    "properties": {
        "blog_id": _ID,
        "event_id": {"type": "string", "format": "uuid", "description": "sent again, it is counted once"},
        "viewed_at": {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "description": "epoch ms"},
            ],
            "description": "default now; from 2000-01-01 to ten minutes from now",
        },
        "site": {"type": "string", "minLength": 1, "maxLength": MAX_SITE, "default": DEFAULT_SITE},
        "author_id": _ID | {"description": "default: the author the blog is registered with"},
        "country": {"type": "string", "description": "ISO 3166-1 alpha-2; empty is unknown"},
        "viewer_id": _ID | {"description": "kept as a hash; default: a private id for one day"},
        "url": _URL,
        "referrer": _URL,
    },
}

_ONE = {"blog_id": "hello-world", "viewed_at": "2025-01-31T12:00:00Z", "country": "ET", "viewer_id": "v1"}

EVENTS_OPERATION: dict[str, Any] = {
    "tags": ["events"],
    "summary": "Post Events",
    "description": _DESCRIPTION,
    "operationId": "post_events",
    "parameters": [
        *PARAMETERS,
        {
            "name": "site",
            "in": "query",
            "description": "of the events that name none",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_SITE, "default": DEFAULT_SITE},
        },
        {
            "name": "Readership-Import",
            "in": "header",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**32 - 1},
            "description": "the running import (`POST /api/imports`) that the events belong to",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [_EVENT, {"type": "array", "items": _EVENT, "minItems": 1}]},
                "examples": {
                    "one": {"summary": "one view", "value": _ONE},
                    "many": {"summary": "several views", "value": [_ONE, {"blog_id": 42}]},
                },
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "examples": {"lines": {"summary": "one view a line", "value": '{"blog_id": "a"}\n{"blog_id": "b"}\n'}},
            },
        },
    },
    "responses": responses({"index": 2, "field": "blog_id", "reason": "is required"}),
}
