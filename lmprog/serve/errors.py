"""Errors of the API, in the shape that OpenAI's clients read.

ServeError (JobError's neighbour: a server that cannot start)
ApiError   what a request is refused with
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import (
    BudgetError,
    ConstraintError,
    ContextOverflow,
    DeadlineExceeded,
    EngineClosed,
    LmprogError,
    OutOfSlots,
    QueueFull,
    RequestError,
    SamplingError,
)

KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class ServeError(LmprogError):
    """A server cannot start: a port that is taken, a program that is none, an empty file of keys."""


class ApiError(LmprogError):
    """A request is refused. `param` names the parameter at fault, `code` the reason, both for programs to read."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        kind = KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def refused(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """What is wrong with the request itself."""
    return ApiError(400, message, param=param, code=code)


def no_model(asked: str, name: str) -> ApiError:
    return ApiError(
        404, f"there is no model {asked[:200]!r} here, only {name!r}", param="model", code="model_not_found"
    )


def busy(message: str) -> ApiError:
    return ApiError(429, message, code="too_many_requests", headers={"Retry-After": "1"})


def timed_out(seconds: float) -> ApiError:
    return ApiError(504, f"the request took longer than the {seconds:g} s that this server allows", code="timeout")


def api_error(error: LmprogError) -> ApiError:
    """An error of the engine or of the constraint compiler as an answer."""
    match error:
        case ApiError():
            return error
        case ContextOverflow() | OutOfSlots():
            return refused(str(error), "max_tokens", "context_length_exceeded")
        case BudgetError():
            return refused(str(error), "max_tokens", "no_value_fits")
        case ConstraintError():
            return refused(str(error), None, "unusable_constraint")
        case SamplingError() | RequestError():
            return refused(str(error), None, "invalid_value")
        case QueueFull():
            return busy(str(error))
        case DeadlineExceeded():
            return ApiError(504, str(error), code="timeout")
        case EngineClosed():
            return ApiError(503, str(error), code="engine_closed", headers={"Retry-After": "5"})
    return ApiError(500, f"{type(error).__name__}: {error}", code="engine_error")
