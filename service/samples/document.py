"""POST /api/samples in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from service.ingest.document import PARAMETERS, responses
from service.parameters import DEFAULT_SITE, MAX_SITE
from service.samples.series import LABEL, MAX_LABEL_VALUE, MAX_LABELS, MAX_LABELS_BYTES, METRIC

_DESCRIPTION = """\
Numbers of series, which are a metric and its labels: one sample, an array, NDJSON, Prometheus text or OpenMetrics;
gzip, deflate or zstd.

Every accepted sample is on disk when the answer arrives, and will be counted once, in the raw table and in every
rollup, within a second or so; with `wait=stored` the answer comes after that. The same metric, labels, time and value
sent again are the same sample, reported under `duplicates`. Another value for the same series and time is a
correction: the value that came last stays, from the next reconcile on. What is wrong with one sample is told under
`rejected`, by its index, and costs no other; in text the index counts its samples, and a line that is none is a 400
that names the line.

Text is read as strictly as Prometheus's Python client does: OpenMetrics has a series' samples together and in order of
time, and ends with `# EOF`. A time in Prometheus text is milliseconds, in OpenMetrics seconds.

A request with an `Idempotency-Key` can be sent again without harm: for 24 hours it gets the answer of the first time.
Where that could not be kept, only samples that say `at` are known again."""

_SAMPLE: dict[str, Any] = {
    "type": "object",
    "required": ["metric", "value"],
    "properties": {
        "metric": {"type": "string", "pattern": f"^{METRIC}$"},
        "value": {"type": "number", "description": "finite"},
        "at": {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "integer", "description": "epoch ms"},
            ],
            "description": "from 2000-01-01 to ten minutes from now; default now, or the next millisecond in which the"
            " process has no sample of the series",
        },
        "labels": {
            "type": "object",
            "maxProperties": MAX_LABELS,
            "propertyNames": {"pattern": f"^{LABEL}$", "not": {"const": "__name__"}},
            "additionalProperties": {"anyOf": [{"type": "string", "maxLength": MAX_LABEL_VALUE}, {"type": "integer"}]},
            "description": f"an empty value is no label; at most {MAX_LABELS_BYTES} bytes together, as JSON",
        },
        "site": {"type": "string", "minLength": 1, "maxLength": MAX_SITE, "default": DEFAULT_SITE},
    },
}

_ONE = {
    "metric": "heart_rate",
    "value": 61.5,
    "at": "2025-01-31T12:00:00Z",
    "labels": {"user": "ada", "device": "watch"},
}
_LINES = (
    '{"metric": "heart_rate", "value": 62, "labels": {"user": "ada"}}\n'
    '{"metric": "heart_rate", "value": 71, "labels": {"user": "bob"}}\n'
)
_PROMETHEUS = """\
# HELP reading_seconds Time spent on a post.
# TYPE reading_seconds gauge
reading_seconds{blog="hello"} 48.5 1738324800123
reading_seconds{blog="engines"} 7
"""
_OPENMETRICS = """\
# HELP reading_seconds Time spent on a post.
# TYPE reading_seconds gauge
reading_seconds{blog="hello"} 48.5 1738324800.123
reading_seconds{blog="hello"} 51 1738324860
# EOF
"""

SAMPLES_OPERATION: dict[str, Any] = {
    "tags": ["samples"],
    "summary": "Post Samples",
    "description": _DESCRIPTION,
    "operationId": "post_samples",
    "parameters": [
        *PARAMETERS,
        {
            "name": "site",
            "in": "query",
            "description": "of the samples that name none, such as those in text",
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_SITE, "default": DEFAULT_SITE},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [_SAMPLE, {"type": "array", "items": _SAMPLE, "minItems": 1}]},
                "examples": {
                    "one": {"summary": "one sample", "value": _ONE},
                    "many": {"summary": "several", "value": [_ONE, {"metric": "spo2", "value": 97}]},
                },
            },
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "examples": {"lines": {"summary": "one sample a line", "value": _LINES}},
            },
            "text/plain": {
                "schema": {"type": "string"},
                "examples": {"scrape": {"summary": "Prometheus text, version 0.0.4", "value": _PROMETHEUS}},
            },
            "application/openmetrics-text": {
                "schema": {"type": "string"},
                "examples": {"openmetrics": {"summary": "OpenMetrics, version 1.0.0", "value": _OPENMETRICS}},
            },
        },
    },
    "responses": responses({"index": 2, "field": "value", "reason": "must be a finite number"}),
}
