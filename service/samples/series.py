"""What names a series, by Prometheus's classic rules: a metric and its labels. The same for every way in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clickhouse.samples import labels_text
from service.ingest.rejections import Wrong

MAX_NAME = 200  # of a metric or a label
MAX_LABELS = 64
MAX_LABEL_VALUE = 1_024
MAX_LABELS_BYTES = 8_192  # of all labels together, as `labels_text` writes them: each sample is sent on with them

METRIC = rf"[a-zA-Z_:][a-zA-Z0-9_:]{{0,{MAX_NAME - 1}}}"
LABEL = rf"[a-zA-Z_][a-zA-Z0-9_]{{0,{MAX_NAME - 1}}}"

_is_metric = re.compile(METRIC).fullmatch
_is_label = re.compile(LABEL).fullmatch
# New lines and the like are text; NUL ends strings, and half a pair is no UTF-8.
_unsound = re.compile("[\x00\ud800-\udfff]").search


def checked_metric(name: str) -> str:
    """Raises Wrong."""
    if not _is_metric(name):
        raise Wrong("metric", f"must be like [a-zA-Z_:][a-zA-Z0-9_:]*, of at most {MAX_NAME} characters")
    return name


def checked_labels(labels: Mapping[str, str | None]) -> str:
    """As `labels_text` writes them, without those that have no value. Raises Wrong."""
    kept = {name: value for name, value in labels.items() if value}
    if len(kept) > MAX_LABELS:
        raise Wrong("labels", f"must be at most {MAX_LABELS}")
    for name in labels:
        if not _is_label(name) or name == "__name__":
            raise Wrong("labels", _BAD_NAME)
    for value in kept.values():
        if len(value) > MAX_LABEL_VALUE:
            raise Wrong("labels", f"must have values of at most {MAX_LABEL_VALUE} characters")
        if _unsound(value):
            raise Wrong("labels", "must have values without NUL or half surrogate pairs")
    written = labels_text(kept)
    if len(written) > MAX_LABELS_BYTES or len(written.encode()) > MAX_LABELS_BYTES:
        raise Wrong("labels", f"must take at most {MAX_LABELS_BYTES} bytes together, as JSON")
    return written


_BAD_NAME = f"must have names like [a-zA-Z_][a-zA-Z0-9_]*, of at most {MAX_NAME} characters, and not __name__"
