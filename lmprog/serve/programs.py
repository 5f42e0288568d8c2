"""Programs as endpoints: `GET /programs`, `POST /programs/NAME`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticSerializationError, to_jsonable_python
from starlette.requests import Request
from starlette.responses import Response

from ..cascading import Cascade
from ..docstrings import read_docstring
from ..errors import LmprogError
from ..events import Close, Done, Event, Open, Retract, Text
from ..jobs.errors import JobError
from ..jobs.target import named
from ..models import LanguageModel, grouped
from ..programs import Program
from ..run import Capture, CascadeRun, Run
from ..slot_files import read
from .body import first_fault, read_json
from .errors import ApiError, ServeError, api_error, refused, timed_out
from .respond import Events, Json, connected, dumps, event, failed, internal, json_response
from .service import Service

SHOWN = {Text: "text", Open: "open", Close: "close", Retract: "retract"}


class Endpoint:
    """A program, and what its arguments must be; it runs on the server's model, but for steps of cascades that have
    their own. Raises ServeError when their types cannot be read from JSON."""

    def __init__(self, program: Program[..., Any], name: str | None = None) -> None:
        self.program, self.name = program, name or program.__name__
        self.arguments = _arguments(program)
        self.about = inspect.getdoc(inspect.unwrap(program.function)) or ""

    @property
    def model(self) -> LanguageModel | None:
        """That of a cascade all steps of which have models."""
        return self.program.model if isinstance(self.program, Cascade) else None

    @property
    def entry(self) -> Json:
        """What `GET /programs` says of it."""
        description, _ = read_docstring(self.about, [])
        return {"name": self.name, "description": description, "parameters": self.arguments.model_json_schema()}

    def read(self, value: Any) -> dict[str, Any]:
        """The arguments as Python values. Raises ApiError."""
        if not isinstance(value, dict):
            raise refused("the body is a JSON object of the program's arguments", code="invalid_type")
        try:
            found = self.arguments.model_validate_json(dumps(value), strict=True)
        except ValidationError as error:
            raise first_fault(error, value) from None
        return {name: getattr(found, name) for name in found.model_fields_set} | (found.model_extra or {})


def endpoints_of(names: Sequence[str], slots: Sequence[Path] = ()) -> dict[str, Endpoint]:
    """The endpoints of programs given as `file.py:name` or `module:name`, with the values of slots in the files that
    name them. Raises ServeError, SlotError, OSError."""
    found: dict[str, Endpoint] = {}
    files = _files(slots)
    for name in names:
        try:
            program = named(name)
        except JobError as error:
            raise ServeError(str(error)) from None
        if not isinstance(program, Program):
            raise ServeError(f"{name} is not a program: it is {program!r}")
        file = files.pop(program.__name__, None)
        called = name.rpartition(":")[2] if isinstance(program, Cascade) else None
        endpoint = Endpoint(program if file is None else program.load(file), called)
        if endpoint.name in found:
            raise ServeError(f"two programs are called {endpoint.name}: rename one")
        found[endpoint.name] = endpoint
    for name, file in files.items():
        raise ServeError(f"{file} is for the program {name}, which is not served: add it by --program")
    return found


def _files(slots: Sequence[Path]) -> dict[str, Path]:
    """Files of slots, by the programs that they name."""
    files: dict[str, Path] = {}
    for path in slots:
        name = read(path).program
        if not name:
            raise ServeError(f'{path} does not say which program it is for: program = "card"')
        if name in files:
            raise ServeError(f"{files[name]} and {path} are both for the program {name}: merge them")
        files[name] = path
    return files


def _arguments(program: Program[..., Any]) -> type[BaseModel]:
    """A model of the parameters but for the prompt; those of `**more` are free."""
    _, *parameters = inspect.signature(program.function).parameters.values()
    try:
        hints = get_type_hints(inspect.unwrap(program.function), include_extras=True)
    except (NameError, TypeError) as error:
        raise ServeError(f"the types of {program.__name__} cannot be resolved: {error}") from None
    fields: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            if parameter.default is parameter.empty:
                raise ServeError(f"{program.__name__}: a / stands behind {parameter.name}, so that it has no name")
            continue
        default = Field() if parameter.default is parameter.empty else Field(default=parameter.default)
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    config = ConfigDict(extra="allow" if free else "forbid", protected_namespaces=())
    try:
        return create_model(program.__name__, __config__=config, **fields)
    except Exception as error:  # pydantic has many ways to refuse a type
        raise ServeError(f"the parameters of {program.__name__} cannot be read from JSON: {error}") from None


async def programs(request: Request) -> Response:
    service: Service = request.app.state.service
    return json_response({"object": "list", "data": [endpoint.entry for endpoint in service.programs.values()]})


async def run_program(request: Request) -> Response:
    """The body holds the arguments; the query may say `stream=true` and `seed=7`."""
    service: Service = request.app.state.service
    name = request.path_params["name"]
    endpoint = service.programs.get(name)
    if endpoint is None:
        raise ApiError(404, f"there is no program {name!r} here", code="program_not_found")
    stream, options = _query(request)
    arguments = endpoint.read(await read_json(request, service.settings))
    call = {**arguments, "model": endpoint.model or service.model, **options}
    client, deadline = request.state.client, service.settings.timeout
    with ExitStack() as stack:
        service.admission.take(client, 1)
        stack.callback(service.admission.give, client, 1)
        with grouped(client):
            if stream:
                return Events(_events(endpoint, call, deadline, client, request.state.note), stack.pop_all())
            try:
                async with asyncio.timeout(deadline):
                    run = await connected(request, endpoint.program.arun(**call))
            except TimeoutError:
                raise timed_out(deadline) from None
            except LmprogError as error:
                raise _failed(error) from None
        request.state.note.update(_noted(run))
        return json_response(_answer(run))


def _query(request: Request) -> tuple[bool, Json]:
    given = dict(request.query_params)
    stream, seed = given.pop("stream", "false"), given.pop("seed", None)
    if given:
        unknown = next(iter(given))
        raise refused(f"unknown query parameter {unknown}", unknown, "unknown_parameter")
    if stream not in ("true", "false"):
        raise refused("stream is true or false", "stream", "invalid_value")
    if seed is not None and not (seed.isascii() and seed.isdecimal() and len(seed) < 19):
        raise refused("seed is a whole number below 10 ** 18", "seed", "invalid_value")
    return stream == "true", {} if seed is None else {"seed": int(seed)}


async def _events(endpoint: Endpoint, call: Json, seconds: float, client: str, note: Json) -> AsyncIterator[bytes]:
    try:
        async with asyncio.timeout(seconds):
            with grouped(client):
                stream = endpoint.program.stream(**call)
            async for happened in stream:
                if (shown := _shown(happened)) is not None:
                    yield event(shown)
                if isinstance(happened, Done):
                    note.update(_noted(happened.run))
                    yield event({"event": "done", **_answer(happened.run)})
            yield b"data: [DONE]\n\n"
    except TimeoutError:
        yield failed(timed_out(seconds), note)
    except LmprogError as error:
        yield failed(_failed(error), note)
    except Exception as error:
        yield failed(internal(error), note)


def _shown(happened: Event) -> Json | None:
    """An event with what it carries but for Python values that JSON cannot say."""
    kind = SHOWN.get(type(happened))
    return None if kind is None else {"event": kind, **plain(asdict(happened))}


def _answer(run: Run[Any]) -> Json:
    captures = [_capture(capture) for capture in run.captures.all()]
    answered = {"answered_by": run.answered_by, "cost": run.cost} if isinstance(run, CascadeRun) else {}
    return {"value": plain(run.value), "text": run.text, "captures": captures, "usage": asdict(run.usage), **answered}


def _capture(capture: Capture) -> Json:
    return {
        "name": capture.name,
        "value": plain(capture.value),
        "text": capture.text,
        "span": capture.span,
        "finish": capture.finish,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it; what JSON does not know as its text."""
    try:
        return to_jsonable_python(value, inf_nan_mode="strings", fallback=str)
    except (PydanticSerializationError, ValueError):
        return str(value)


def _failed(error: LmprogError) -> ApiError:
    """A program that ran and failed: its inputs may be why."""
    found = api_error(error)
    if found.status != 500:
        return found
    return ApiError(422, f"{type(error).__name__}: {error}", code="program_failed")


def _noted(run: Run[Any]) -> Json:
    usage = run.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.sampled_tokens + usage.forced_tokens,
        "cached_tokens": max(0, usage.prompt_tokens - usage.prompt_tokens_computed),
    }
