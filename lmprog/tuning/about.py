"""Which search a state is of."""

from __future__ import annotations

import hashlib
from typing import Any

from ..decoders import Decoder
from ..evaluation.fingerprint import Fingerprint
from ..evaluation.identity import Identities
from ..evaluation.library import Unsure
from ..models import LanguageModel
from ..templates import Template
from .objective import Measure
from .space import key


def parts(
    measure: Measure, pool: list[dict[str, Any]], model: LanguageModel, decoder: Decoder | None, objective: str
) -> dict[str, str]:
    """All that outcomes depend on, by what a message calls it: with the same the same rows have the same scores.

    Programs, metrics and models are known as the cache of evaluations knows them. What cannot be followed to its end
    (a function that reads the clock, say) counts by its own code, a model by its name.
    """
    program = measure.program
    own = program._template.root_render_func if isinstance(program, Template) else program.function
    metric = measure.metric
    return {
        "program": _digest(program, f"{program.__name__} {key(program.values)} {_code(own)}"),
        "metric": _digest(metric, _code(metric)),
        "model": _digest(model, model.name),
        "decoder": repr(decoder or program.options.decoder),
        "seed": str(measure.how["seed"]),
        "objective": objective,
        "data": _hash(*[key(row) for row in [*measure.data, *pool]]),
    }


def _digest(value: Any, otherwise: str) -> str:
    try:
        return Fingerprint(Identities(lambda name: None, lambda name, digest: None)).of(value).hex()
    except Unsure:
        return _hash(otherwise)


def _code(function: Any) -> str:
    """What a function consists of, without what it calls."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return repr(function) if code is None else repr((code.co_code, code.co_names, _constants(code)))


def _constants(code: Any) -> list[Any]:
    inner = type(code)
    return [(c.co_code, _constants(c)) if isinstance(c, inner) else c for c in code.co_consts]


def _hash(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()
