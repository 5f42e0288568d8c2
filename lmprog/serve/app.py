"""The routes of a server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..errors import LmprogError
from ..runtime.model import Model
from .admission import client_of
from .chat import chat
from .completions import completions
from .errors import ApiError, api_error, no_model
from .measures import MEDIA_TYPE
from .programs import Endpoint, programs, run_program
from .respond import internal, json_response, log
from .service import Service
from .settings import Settings

OPEN = ("/health", "/ready")  # for everybody, key or not
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


def application(
    model: Model, settings: Settings | None = None, endpoints: Mapping[str, Endpoint] | None = None
) -> Starlette:
    """An ASGI application that serves a model, and programs on it. It does not close the model."""
    service = Service(model, settings or Settings(), endpoints or {})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.checking.start()
        try:
            yield
        finally:
            await service.checking.close()

    routes = [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", one_model),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/programs", programs),
        Route("/programs/{name}", run_program, methods=["POST"]),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={LmprogError: _told, HTTPException: _http, Exception: _unexpected},  # type: ignore[dict-item]
    )
    app.state.service = service
    app.add_middleware(Front, service=service)
    return app


# -- the server itself -------------------------------------------------------------------------------------------


async def health(request: Request) -> Response:
    return json_response({"status": "ok"})


async def ready(request: Request) -> Response:
    service: Service = request.app.state.service
    if service.model.closed:
        raise ApiError(503, "the engine takes no more requests", code="engine_closed")
    return json_response({"status": "ready", "model": service.name})


async def metrics(request: Request) -> Response:
    service: Service = request.app.state.service
    return PlainTextResponse(service.measures.exposition(service.model), media_type=MEDIA_TYPE)


async def models(request: Request) -> Response:
    return json_response({"object": "list", "data": [_model(request.app.state.service)]})


async def one_model(request: Request) -> Response:
    service: Service = request.app.state.service
    if request.path_params["name"] != service.name:
        raise no_model(request.path_params["name"], service.name)
    return json_response(_model(service))


def _model(service: Service) -> dict[str, Any]:
    return {
        "id": service.name,
        "object": "model",
        "created": service.created,
        "owned_by": "lmprog",
        "max_model_len": service.model.context,
    }


# -- around every request ----------------------------------------------------------------------------------------


async def _told(request: Request, error: LmprogError) -> Response:
    found = api_error(error)
    request.state.note["error"] = found.code
    request.app.state.service.measures.refused.labels(found.code or "").inc()
    response = json_response(found.body, found.status)
    response.headers.update(found.headers)
    return response


async def _http(request: Request, error: HTTPException) -> Response:
    """What the router has to say: no such path, another method."""
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    code = {404: "path_not_found", 405: "method_not_allowed"}.get(error.status_code)
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    return await _told(request, ApiError(error.status_code, message, code=code, headers=allowed))


async def _unexpected(request: Request, error: Exception) -> Response:
    return await _told(request, internal(error))


class Front:
    """Knows whose request it is, counts it, and writes a line of JSON about it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        note: dict[str, Any] = {}
        state = scope.setdefault("state", {})
        state["note"], state["client"] = note, (scope.get("client") or ("",))[0]

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"server", f"lmprog/{__version__}".encode())]
            await send(message)

        measures = self.service.measures
        measures.active.inc()
        try:
            await self._serve(scope, receive, sent)
        except BaseException:
            status = status or 500
            raise
        finally:
            measures.active.dec()
            seconds = time.monotonic() - began
            route = _route(scope)
            measures.requests.labels(route, _method(scope), status).inc()
            measures.seconds.labels(route).observe(seconds)
            log.info(json.dumps(_line(scope, status, seconds, state)))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] not in OPEN:
            try:
                request.state.client = client_of(request.headers, request.state.client, self.service.settings.keys)
            except ApiError as error:
                response = await _told(request, error)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _route(scope: Scope) -> str:
    """The pattern of the path: few, whatever clients ask for."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in METHODS else "other"


def _line(scope: Scope, status: int, seconds: float, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "client": state["client"],
        "method": scope["method"],
        "path": scope["path"][:200],
        "status": status,
        "seconds": round(seconds, 4),
        **state["note"],
    }
