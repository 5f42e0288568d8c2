"""Which search a state is of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ..decoders import Decoder
from ..models import LanguageModel
from .objective import Measure
from .space import key


def parts(
    measure: Measure, pool: list[dict[str, Any]], model: LanguageModel, decoder: Decoder | None, objective: str
) -> dict[str, str]:
    """All that outcomes depend on, by what a message calls it: with the same the same rows have the same scores.

    Of programs and metrics it is their own code, not that of what they call.
    """
    return {
        "program": _digest(measure.program.__name__, *_code(measure.program.function), key(measure.program.values)),
        "metric": _digest(*_code(measure.metric)),
        "model": model.name,
        "decoder": repr(decoder or measure.program.options.decoder),
        "seed": str(measure.how["seed"]),
        "objective": objective,
        "data": _digest(*[key(row) for row in [*measure.data, *pool]]),
    }


def _code(function: Any) -> Iterator[str]:
    """What a function consists of."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        yield function if isinstance(function, str) else type(function).__qualname__
    else:
        yield from _instructions(code)
        yield repr(function.__defaults__)


def _instructions(code: CodeType) -> Iterator[str]:
    yield from (code.co_code.hex(), repr(code.co_names))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)
        else:
            yield repr(constant)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode()).hexdigest()[:32]
