"""Errors of the runtime.

LmprogError
├── ModelNotFound      no such model on this machine
├── ModelMismatch      our logits differ from the stock model's
├── ContextOverflow    prompt plus max_tokens is longer than the model's context
├── OutOfSlots         one request needs more KV slots than the pool has
├── EngineClosed       the engine was closed while the request waited, or before it was submitted
├── RequestError       the request itself is broken: no tokens, an id outside the vocabulary
└── SamplingError      bad temperature or top-p, NaN logits
"""

from __future__ import annotations

from ..grammars.errors import LmprogError


class ModelNotFound(LmprogError):
    """No such model on this machine."""


class ModelMismatch(LmprogError):
    """The runtime's logits differ from the stock model's, so that its results could not be trusted."""


class ContextOverflow(LmprogError):
    """The prompt and the tokens to generate are longer than the model's context."""


class OutOfSlots(LmprogError):
    """One request needs more KV slots than the whole pool has."""


class EngineClosed(LmprogError):
    """The engine was closed."""


class RequestError(LmprogError):
    """The request itself is broken: no prompt tokens, an id outside the vocabulary, no tokens to generate."""


class SamplingError(LmprogError):
    """Sampling settings out of range, or logits that nothing can be sampled from."""
