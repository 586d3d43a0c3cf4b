"""/openapi.json, /docs and /redoc, with the assets served from here: a closed network has no CDN."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from service.events.document import EVENTS_OPERATION
from service.problems import MEDIA_TYPE, ProblemBody
from service.remote_write.document import WRITE_OPERATION
from service.samples.document import SAMPLES_OPERATION

TITLE = "Readership"
_ASSETS = "/docs-assets"

_ERRORS = {
    "400": "The body is not JSON, or not text of its type",
    "404": "There is no such page, or nothing with this id",
    "413": "The body is too large",
    "415": "Another content type or encoding",
    "422": "A parameter, an event or a sample is wrong; `errors` names it",
    "503": "ClickHouse is away; try again after `Retry-After` seconds",
}


def install_documents(app: FastAPI) -> None:
    """Adds the documents and their aliases under /api."""
    document = _document(app)
    app.mount(_ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")))

    async def openapi() -> JSONResponse:
        return JSONResponse(document)

    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=TITLE,
            swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{_ASSETS}/favicon.png",
        )

    async def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url="/openapi.json",
            title=TITLE,
            redoc_js_url=f"{_ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{_ASSETS}/favicon.png",
            with_google_fonts=False,
        )

    for endpoint, paths in (
        (openapi, ("/openapi.json", "/api/schema")),
        (docs, ("/docs", "/api/docs")),
        (redoc, ("/redoc", "/api/redoc")),
    ):
        for path in paths:
            app.add_api_route(path, endpoint, include_in_schema=False)


def _document(app: FastAPI) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=TITLE,
        version=version("readership"),
        description="Who reads which post: events in, exact answers for any range and zone out.",
        routes=app.routes,
    )
    problem = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= {**problem.pop("$defs"), "ProblemBody": problem}
    ways_in = {
        "/api/events": {"post": EVENTS_OPERATION},
        "/api/samples": {"post": SAMPLES_OPERATION},
        "/api/v1/write": {"post": WRITE_OPERATION},
    }
    document["paths"] = {**ways_in, **document["paths"]}
    for path, operations in document["paths"].items():
        if path.startswith("/api/"):
            for operation in operations.values():
                operation["responses"].update(_error_responses())
                for body in operation.get("requestBody", {}).get("content", {}).values():
                    _show_example(body, document["components"]["schemas"])
    return document


def _show_example(body: dict[str, Any], schemas: dict[str, Any]) -> None:
    """That of its schema stands beside the body too, where clients' tools look for it."""
    if "example" in body or "examples" in body:
        return
    for schema in body["schema"].get("oneOf", [body["schema"]]):
        named = schemas.get(schema.get("$ref", "").rpartition("/")[2], {})
        if "example" in named:
            body["example"] = named["example"]
            return


def _error_responses() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemBody"}
    return {
        status: {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status, description in _ERRORS.items()
    }
