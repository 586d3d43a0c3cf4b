"""POST /api/v1/write in the OpenAPI document; it is no route of FastAPI's, which therefore cannot know it."""

from __future__ import annotations

from typing import Any

from service.parameters import DEFAULT_SITE, MAX_SITE

_DESCRIPTION = """\
Prometheus remote write 1.0: a `prometheus.WriteRequest`, compressed by snappy (block format).

In Prometheus: `remote_write: [{url: "http://127.0.0.1:8000/api/v1/write"}]`.

Samples that can be taken are on disk when the answer arrives; a sample that is stored already is counted once. One that
two processes take within a second, by remote write, may be counted by both. Staleness markers, metadata, exemplars and
native histograms are passed over; a sample with another value that is not finite, or an unusable name, is left out and
counted in `/metrics`. A request may hold 100,000 samples; their metrics and labels, counted with each sample, may take
as many bytes as a decompressed body."""

WRITE_OPERATION: dict[str, Any] = {
    "tags": ["samples"],
    "summary": "Post Write",
    "description": _DESCRIPTION,
    "operationId": "post_write",
    "parameters": [
        {
            "name": "site",
            "in": "query",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_SITE, "default": DEFAULT_SITE},
        },
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": True,
            "schema": {"const": "snappy"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-protobuf": {
                "schema": {"type": "string", "format": "binary"},
                "example": "a snappy block, here of no bytes: \\u0000",
            }
        },
    },
    "responses": {
        "204": {"description": "On disk: every sample that can be taken will be counted"},
    },
}
