"""What OpenAPI says of every way in: how to wait, to send again, and what is answered."""

from __future__ import annotations

from typing import Any

from service.ingest.idempotency import LONGEST_KEY
from service.problems import MEDIA_TYPE

PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "wait",
        "in": "query",
        "description": "`stored`: answer when everything is counted, or after 30 s with `stored` being false",
        "schema": {"type": "string", "enum": ["stored"]},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
        "description": "a key nobody else uses, such as a UUID; there are no scopes. With another body: 422",
        "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    },
]


def responses(rejected: dict[str, Any]) -> dict[str, Any]:
    """`rejected`: an example of one."""
    return {
        "202": {
            "description": "On disk: will be counted once in every rollup",
            "headers": {
                "Readership-Deduplication": {
                    "schema": {"const": "local"},
                    "description": "Redis is away: ids of other requests are compared when they are stored",
                },
                "Idempotency-Replayed": {
                    "schema": {"const": "true"},
                    "description": "this is the answer of the first time; a 4xx may be replayed as well",
                },
                "Idempotency-Kept": {
                    "schema": {"const": "false"},
                    "description": "this answer could not be kept: sent again, the request is carried out again,"
                    " and finds duplicates",
                },
            },
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["accepted", "duplicates", "rejected"],
                        "properties": {
                            "accepted": {"type": "integer"},
                            "duplicates": {"type": "integer"},
                            "stored": {"type": "boolean", "description": "with `wait=stored`: everything is counted"},
                            "rejected": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["index", "field", "reason"],
                                    "properties": {
                                        "index": {"type": "integer"},
                                        "field": {"type": "string"},
                                        "reason": {"type": "string"},
                                    },
                                },
                            },
                        },
                    },
                    "example": {
                        "accepted": 2,
                        "duplicates": 0,
                        "rejected": [rejected],
                    },
                }
            },
        },
        "409": {
            "description": "The request with this `Idempotency-Key` is being carried out; try again after `Retry-After`"
            " seconds",
            "headers": {"Retry-After": {"schema": {"type": "integer"}}},
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        },
    }
