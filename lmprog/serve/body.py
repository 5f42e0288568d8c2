"""Request bodies: read within limits, and JSON that means one thing only."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from .errors import ApiError, refused
from .settings import Settings

M = TypeVar("M", bound=BaseModel)


async def read_json(request: Request, settings: Settings) -> Any:
    """The JSON value of a request's body.

    Raises ApiError: 413 too long, 408 too slow, 415 another content type, 400 not JSON.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"a body is application/json, not {kind}", code="unsupported_media_type")
    return loads(await _read(request, settings))


async def _read(request: Request, settings: Settings) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > settings.body:
        raise _too_long(settings)
    parts, size = [], 0
    try:
        async with asyncio.timeout(settings.upload):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > settings.body:
                    raise _too_long(settings)
    except TimeoutError:
        message = f"the body did not arrive within {settings.upload:g} s"
        raise ApiError(408, message, code="slow_body", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise ApiError(400, "the body ended early", code="disconnected") from None
    return b"".join(parts)


def _too_long(settings: Settings) -> ApiError:
    message = f"a body has at most {settings.body} bytes"
    return ApiError(413, message, code="body_too_long", headers={"Connection": "close"})


def loads(data: bytes) -> Any:
    """JSON in UTF-8, without duplicate keys, NaN, numbers beyond floats, and halves of surrogate pairs."""
    try:
        text = data.decode()
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
        if "\\u" in text:  # the only way to a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise refused(f"the body is not UTF-8: byte {error.start} cannot be decoded", code="invalid_json") from None
    except UnicodeEncodeError:
        raise refused("the body holds half a surrogate pair, which is not text", code="invalid_json") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise refused(f"the body is not JSON: {error.msg} at {place}", code="invalid_json") from None
    except RecursionError:
        raise refused("the body is nested too deeply", code="invalid_json") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise refused(f"the key {twice[:100]!r} stands twice in an object", code="invalid_json")
    return found


def _no_constant(name: str) -> NoReturn:
    raise refused(f"{name} is not JSON", code="invalid_json")


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise refused(f"the number {digits[:40]} is too large", code="invalid_json")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise refused(f"a number of {len(digits)} digits is too large", code="invalid_json")
    return int(digits)


def validated(kind: type[M], value: Any) -> M:
    """The parameters of a request; null stands for a parameter that is not there. Raises ApiError, naming what is
    wrong or unknown."""
    if not isinstance(value, dict):
        raise refused(f"the body is a JSON object of parameters, not {type(value).__name__}", code="invalid_type")
    given = {name: item for name, item in value.items() if item is not None}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise first_fault(error, value) from None


def first_fault(error: ValidationError, value: Any) -> ApiError:
    """The first of the faults that pydantic found, where it lies deepest in a union."""
    fault = error.errors(include_url=False)[0]
    path = _in_value(fault["loc"], value)[:200]
    if fault["type"] == "extra_forbidden":
        return refused(f"unknown or unsupported parameter {path}", path, "unknown_parameter")
    message = fault["msg"].removeprefix("Value error, ")
    return refused(f"{path}: {message}" if path else message, path or None, "invalid_value")


def _in_value(loc: tuple[int | str, ...], value: Any) -> str:
    """A place as the client wrote it, without pydantic's names of the members of unions."""
    path = ""
    for at, step in enumerate(loc):
        known = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
        if step in known:
            value = value[step]
        elif at + 1 < len(loc) or not isinstance(value, dict):
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path
