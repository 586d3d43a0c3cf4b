"""The answer to a request that brings items: what became of them, or why nothing could be taken."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.ingest.rejections import Rejection, Wrong, none_is_json, text
from service.parameters import DEFAULT_SITE, MAX_SITE
from service.problems import FieldError, Invalid, NotJson, Problem
from workers.intake import Receipt

# Faults named in a refusal's `errors`; `rejected` has them all.
_MAX_ERRORS = 100

# Says that ids were not compared with those of other requests: Redis is away. Each is counted once all the same,
# unless another process takes it in the same second.
LOCAL = {"Readership-Deduplication": "local"}


class Answer(msgspec.Struct):
    """`stored`: whether the items are in ClickHouse; only where that was asked for."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]
    stored: bool | msgspec.UnsetType = msgspec.UNSET


def wait_asked(request: Request) -> bool:
    """Raises Invalid, for a parameter that is neither `wait` nor `site` too."""
    if not request.scope["query_string"]:  # nearly always
        return False
    for name in request.query_params:
        if name not in {"wait", "site"}:
            raise Invalid.field(name, "unknown parameter")
    asked = request.query_params.getlist("wait")
    if asked and asked != ["stored"]:
        raise Invalid.field("wait", "must be stored, or left out")
    return bool(asked)


def site_asked(request: Request) -> str:
    """Of the items that name none. Raises Invalid."""
    asked = request.query_params.getlist("site") if request.scope["query_string"] else []
    if len(asked) > 1:
        raise Invalid.field("site", "is given twice")
    try:
        return text("site", asked[0], MAX_SITE) if asked else DEFAULT_SITE
    except Wrong as wrong:
        raise Invalid.field("site", wrong.reason) from wrong


def taken(receipt: Receipt, rejected: list[Rejection]) -> Response:
    answer = Answer(receipt.accepted, receipt.duplicates, rejected)
    if receipt.stored is not None:
        answer.stored = receipt.stored
    headers = None if receipt.shared else LOCAL
    return Response(msgspec.json.encode(answer), 202, headers, media_type="application/json")


def nothing_acceptable(rejected: list[Rejection], one: str) -> Problem:
    """`one` is what an item is called: `event`."""
    if none_is_json(rejected):
        return NotJson("the body is not JSON" if len(rejected) == 1 else f"none of the {one}s is JSON")
    several = len(rejected) > 1
    errors = [
        FieldError(field=item.field, message=f"{one} {item.index}: {item.reason}" if several else item.reason)
        for item in rejected[:_MAX_ERRORS]
    ]
    detail = f"none of {len(rejected)} {one}s was acceptable" if rejected else f"there are no {one}s in the body"
    if len(rejected) > _MAX_ERRORS:
        detail += f"; the first {_MAX_ERRORS} stand under errors"
    return Invalid(detail, errors, accepted=0, duplicates=0, rejected=msgspec.to_builtins(rejected))
