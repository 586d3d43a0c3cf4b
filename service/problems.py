"""The one shape of every error: RFC 9457 problem+json, with the faults of the input named one by one.

Problem
├── NotJson 400          the body is no JSON
├── NotText 400          nor the text its Content-Type says: the line is named
├── NotRemoteWrite 400   the body is no remote write, or nothing in it can be taken
├── NoSuchPage 404
├── NoSuchBlog 404
├── InProgress 409       the same request is being carried out
├── Conflict 409         what is asked for does not go with what is there
├── TooLarge 413
├── UnsupportedMedia 415
└── Invalid 422          understood, but wrong: `errors` names the fields

NotTaken and ClickHouse's Unavailable leave as 503: try again after `Retry-After` seconds. Of the dead letters' errors
NoSuchLetter leaves as 404, UnreadableLetter as 409; of the jobs' NoSuchJob and
NoSuchSchedule as 404, JobEnded as 409; of the imports' NoSuchImport as 404, the others as 409. What needs Redis to
itself and did not get it (LeaseError) leaves as 503.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from clickhouse.errors import ClickHouseError, TooExpensive, Unavailable
from workers.dead_letters import NoSuchLetter, UnreadableLetter
from workers.imports import ImportFault, NoSuchImport
from workers.jobs.ledger import JobEnded, NoSuchJob
from workers.lease import LeaseError
from workers.scheduling import NoSuchSchedule
from workers.spool.spool import NotTaken

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds; a ClickHouse restart took 0.5-2.0 s


class FieldError(BaseModel):
    """One fault: the field as the client named it ('' for the whole body) and what would be right."""

    field: str
    message: str


class ProblemBody(BaseModel):
    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    status: ClassVar[HTTPStatus]
    headers: ClassVar[dict[str, str] | None] = None

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), **extensions: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.extensions = extensions


class NotJson(Problem):
    status = HTTPStatus.BAD_REQUEST


class NotText(Problem):
    status = HTTPStatus.BAD_REQUEST


class NotRemoteWrite(Problem):
    status = HTTPStatus.BAD_REQUEST


class NoSuchPage(Problem):
    status = HTTPStatus.NOT_FOUND


class NoSuchBlog(Problem):
    status = HTTPStatus.NOT_FOUND


class InProgress(Problem):
    status = HTTPStatus.CONFLICT
    headers: ClassVar[dict[str, str] | None] = {"Retry-After": "1"}


class Conflict(Problem):
    status = HTTPStatus.CONFLICT


class TooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(Problem):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class Invalid(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    @classmethod
    def field(cls, field: str, message: str) -> Invalid:
        return cls(f"{field}: {message}", [FieldError(field=field, message=message)])


def install(app: FastAPI) -> None:
    """Makes every error of `app`, the framework's own included, leave in the one shape."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(NoSuchLetter, _not_found)
    app.add_exception_handler(UnreadableLetter, _conflict)
    app.add_exception_handler(NoSuchJob, _not_found)
    app.add_exception_handler(NoSuchSchedule, _not_found)
    app.add_exception_handler(JobEnded, _conflict)
    app.add_exception_handler(NoSuchImport, _not_found)
    app.add_exception_handler(ImportFault, _conflict)
    app.add_exception_handler(LeaseError, _busy)
    app.add_exception_handler(NotTaken, _not_taken)
    app.add_exception_handler(TooExpensive, _too_expensive)
    app.add_exception_handler(ClickHouseError, _clickhouse)
    app.add_exception_handler(Exception, _bug)


def respond(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
    **more: object,
) -> JSONResponse:
    body = ProblemBody(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors))
    return JSONResponse({**body.model_dump(), **more}, status, headers, media_type=MEDIA_TYPE)


def unavailable(detail: str, errors: Sequence[FieldError] = ()) -> JSONResponse:
    return respond(HTTPStatus.SERVICE_UNAVAILABLE, detail, errors, {"Retry-After": str(RETRY_AFTER)})


def first_line(error: Exception) -> str:
    """Of its message, or what kind of error it is where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def refusal(problem: Problem) -> JSONResponse:
    return respond(problem.status, problem.detail, problem.errors, problem.headers, **problem.extensions)


async def _problem(_request: Request, problem: Any) -> JSONResponse:
    return refusal(problem)


async def _validation(_request: Request, error: Any) -> JSONResponse:
    found = error.errors()
    if any(fault["type"] == "json_invalid" for fault in found):
        return respond(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    errors = [FieldError(field=_where(fault["loc"]), message=_message(fault)) for fault in found]
    detail = "; ".join(f"{error.field}: {error.message}" if error.field else error.message for error in errors[:3])
    return respond(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


def _where(location: Sequence[str | int]) -> str:
    """`("query", "start")` → `start`; `("body", "many", 3, "title")` → `3.title`; a body as a whole → ''."""
    return ".".join(str(part) for part in location[1:] if part not in _TAGS)


def _message(fault: dict[str, Any]) -> str:
    message: str = fault["msg"]
    return _MESSAGES.get(fault["type"], message.removeprefix("Value error, "))


# Which branch of a union was tried: not part of what the client sent.
_TAGS = frozenset({"one", "many"})

_MESSAGES = {
    "extra_forbidden": "unknown parameter",
    "missing": "is required",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
}


async def _http(_request: Request, error: Any) -> JSONResponse:
    return respond(error.status_code, str(error.detail), headers=getattr(error, "headers", None))


async def _not_taken(_request: Request, error: Any) -> JSONResponse:
    return unavailable(f"nothing was taken, send it again later: {error}")


async def _not_found(_request: Request, error: Any) -> JSONResponse:
    return respond(HTTPStatus.NOT_FOUND, str(error))


async def _conflict(_request: Request, error: Any) -> JSONResponse:
    return respond(HTTPStatus.CONFLICT, str(error))


async def _busy(_request: Request, error: Any) -> JSONResponse:
    return unavailable(str(error))


_CHEAPER = "ask for a shorter range, longer periods, or fewer filters; whole days and months are read from rollups"


async def _too_expensive(_request: Request, error: Any) -> JSONResponse:
    limit = _LIMITS[error.limit]
    logger.warning("a question was refused: %s", first_line(error))
    return respond(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"the question costs more than {limit} allows: {_CHEAPER}", limit=limit
    )


_LIMITS = {
    "max_execution_time": "READERSHIP_QUERY_MAX_SECONDS",
    "max_rows_to_read": "READERSHIP_QUERY_MAX_ROWS",
    "max_memory_usage": "READERSHIP_QUERY_MAX_MEMORY",
}


async def _clickhouse(request: Request, error: Any) -> JSONResponse:
    if isinstance(error, Unavailable):
        logger.error("ClickHouse is away: %s", error)
        return unavailable("ClickHouse does not answer")
    return await _bug(request, error)


async def _bug(request: Request, error: Any) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return respond(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of ours; the log has the details")
