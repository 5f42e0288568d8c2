"""Errors of the runtime.

LmprogError
├── ModelNotFound      no such model on this machine
├── ModelMismatch      our logits differ from the stock model's
├── ContextOverflow    prompt plus max_tokens is longer than the model's context
├── OutOfSlots         one request needs more KV slots than the pool has, or the pool more memory than is free
├── EngineClosed       the engine was closed while the request waited, or before it was submitted
├── EngineFault        the engine itself failed twice at the same place
├── QueueFull          too many requests of the same group wait already
├── DeadlineExceeded   the request's timeout is over; `result` holds what there was
├── RoutineCancelled   the routine was cancelled
├── RequestError       the request itself is broken: no tokens, an id outside the vocabulary
└── SamplingError      bad temperature or top-p, NaN logits
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..grammars.errors import LmprogError

if TYPE_CHECKING:
    from .request import Result


class ModelNotFound(LmprogError):
    """No such model on this machine."""


class ModelMismatch(LmprogError):
    """The runtime's logits differ from the stock model's, so that its results could not be trusted."""


class ContextOverflow(LmprogError):
    """The prompt and the tokens to generate are longer than the model's context."""


class OutOfSlots(LmprogError):
    """One request needs more KV slots than the whole pool has, or the pool more memory than is free."""


class EngineClosed(LmprogError):
    """The engine was closed."""


class EngineFault(LmprogError):
    """The engine itself failed, and failed again when it had started afresh. It takes new requests."""


class QueueFull(LmprogError):
    """Too many requests of the same group wait already, and the caller did not want to wait (any longer)."""


class DeadlineExceeded(LmprogError):
    """The request's timeout is over. `result` holds what there was until then; its finish is "deadline"."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


class RoutineCancelled(LmprogError):
    """The routine was cancelled before it had a result."""


class RequestError(LmprogError):
    """The request itself is broken: no prompt tokens, an id outside the vocabulary, no tokens to generate."""


class SamplingError(LmprogError):
    """Sampling settings out of range, or logits that nothing can be sampled from."""
