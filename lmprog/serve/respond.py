"""From a request for answers to the response: admitted, constrained, generated, ended when nobody waits any more."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..errors import LmprogError
from .constraints import Spec
from .errors import ApiError, api_error, no_model, timed_out
from .generate import Piece, Work
from .sampled import budget_of, requests_of, sampling_of
from .service import Service
from .wire import Generation

log = logging.getLogger("lmprog.serve")
T = TypeVar("T")
Json = dict[str, Any]


class Shape(Protocol):
    """What differs between completions and chats. Each is made for one request."""

    top: int | None  # log-probabilities that are wanted, None for none at all
    stops: Sequence[str]
    spec: Spec | None
    wanted: int | None  # tokens
    default: int
    count: int  # of prompts

    def prompts(self) -> list[list[int]]:
        """Their ids; this may take time, and is called in a thread."""

    def begin(self, index: int) -> Json | None:
        """The first chunk of an answer."""

    def chunks(self, piece: Piece) -> list[Json]:
        """The chunks that tell of a piece."""

    def usage_chunk(self, usage: Json) -> Json: ...

    def whole(self, pieces: Sequence[Piece], usage: Json) -> Json: ...


async def respond(request: Request, service: Service, asked: Generation, shape: Shape) -> Response:
    """Raises ApiError."""
    if asked.model is not None and asked.model != service.name:
        raise no_model(asked.model, service.name)
    client, deadline = request.state.client, time.monotonic() + service.settings.timeout
    with ExitStack() as stack:
        count = asked.n * shape.count
        service.admission.take(client, count)
        stack.callback(service.admission.give, client, count)
        work = await _within(deadline, service, connected(request, _work(service, asked, shape, client)))
        stack.callback(work.close)
        if asked.stream:
            events = _events(service, asked, shape, work, deadline, request.state.note)
            work.start(stream=True)
            return Events(events, stack.pop_all())
        work.start(stream=False)
        pieces = await _within(deadline, service, connected(request, work.whole()))
        usage = work.usage()
        request.state.note.update(_noted(usage))
        return json_response(shape.whole(pieces, usage))


async def _work(service: Service, asked: Generation, shape: Shape, client: str) -> Work:
    model, settings, checking = service.model, service.settings, service.checking
    sampling = sampling_of(asked, model)
    constraint = None if shape.spec is None else await checking.constraint(shape.spec, client)
    prompts = await checking.apart(shape.prompts)
    budgets = [
        await checking.apart(budget_of, shape.wanted, shape.default, len(ids), constraint, model, settings)
        for ids in prompts
    ]
    requests = requests_of(prompts, budgets, asked.n, sampling, constraint, shape.top, client, settings)
    return Work(model, prompts, requests, shape.stops)


async def connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; it is cancelled when the client goes away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, watching = asyncio.create_task(work), asyncio.create_task(gone())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ApiError(499, "the client has gone away", code="disconnected")
    finally:
        working.cancel()
        watching.cancel()


async def _within(deadline: float, service: Service, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await work
    except TimeoutError:
        raise timed_out(service.settings.timeout) from None


async def _events(
    service: Service, asked: Generation, shape: Shape, work: Work, deadline: float, note: Json
) -> AsyncIterator[bytes]:
    """Server-sent events, the last one `[DONE]`; an error ends them."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            for answer in work.answers:
                if (chunk := shape.begin(answer.index)) is not None:
                    yield event(chunk)
            async for piece in work.pieces():
                for chunk in shape.chunks(piece):
                    yield event(chunk)
            usage = work.usage()
            note.update(_noted(usage))
            if asked.stream_options is not None and asked.stream_options.include_usage:
                yield event(shape.usage_chunk(usage))
            yield b"data: [DONE]\n\n"
    except TimeoutError:
        yield failed(timed_out(service.settings.timeout), note)
    except LmprogError as error:
        yield failed(api_error(error), note)
    except Exception as error:
        yield failed(internal(error), note)


def failed(error: ApiError, note: Json) -> bytes:
    """The event that ends a stream."""
    note["error"] = error.code
    return event(error.body)


def internal(error: Exception) -> ApiError:
    """A fault of ours, or of a program, which clients are not told."""
    log.error("a request failed", exc_info=error)
    return ApiError(500, "the server failed; its log says why", code="internal_error")


def _noted(usage: Json) -> Json:
    """What the access log says of usage."""
    details = {"cached_tokens": usage["prompt_tokens_details"]["cached_tokens"]}
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens")} | details


class Events(StreamingResponse):
    """Server-sent events. What `closing` holds is closed when they end, in whatever way."""

    def __init__(self, content: AsyncIterator[bytes], closing: ExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._closing:
            await super().__call__(scope, receive, send)


def event(value: Json) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200) -> Response:
    return Response(dumps(value), status, media_type="application/json")
