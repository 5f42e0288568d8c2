"""From the parameters of a request to those of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..grammars import Constraint
from ..runtime.errors import ContextOverflow
from ..runtime.model import Model
from ..runtime.request import Request
from ..runtime.sampling import Sampling
from .errors import refused
from .metered import Metered
from .settings import Settings
from .wire import Generation

FIRST = 512  # the budget of a constrained answer that names none; doubled until a value fits


def sampling_of(asked: Generation, model: Model) -> Sampling:
    """Raises ApiError, SamplingError."""
    return Sampling(
        asked.temperature,
        top_p=asked.top_p,
        top_k=max(0, asked.top_k),
        min_p=asked.min_p,
        seed=None if asked.seed is None else asked.seed % (1 << 64),
        repetition_penalty=asked.repetition_penalty,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logit_bias={_token(name, model): bias for name, bias in asked.logit_bias.items()} or None,
    )


def _token(name: str, model: Model) -> int:
    if not name.isdecimal() or not name.isascii() or len(name) > 9 or int(name) >= model.vocab.size:
        raise refused(f"logit_bias: {name[:40]!r} is not the id of a token", "logit_bias", "invalid_value")
    return int(name)


def budget_of(
    wanted: int | None, default: int, prompt: int, constraint: Constraint | None, model: Model, settings: Settings
) -> int:
    """How many tokens an answer may have. Raises ApiError, ContextOverflow."""
    if wanted is not None and wanted > settings.max_tokens:
        message = f"max_tokens is at most {settings.max_tokens} on this server, not {wanted}"
        raise refused(message, "max_tokens", "max_tokens_too_large")
    room = min(model.context - prompt, settings.max_tokens)
    if room < 1:
        raise ContextOverflow(f"the prompt has {prompt} tokens, and the model's context is {model.context}")
    if constraint is None:
        return wanted or min(default, room)
    limit = wanted or min(FIRST, room)
    state = constraint.start()
    while not constraint.fits(state, limit):
        if wanted is not None or limit >= room:
            message = f"the constraint has no value of at most {limit} tokens: raise max_tokens"
            raise refused(message, "max_tokens", "no_value_fits")
        limit = min(room, 2 * limit)
    return limit


def requests_of(
    prompts: Sequence[Sequence[int]],
    budgets: Sequence[int],
    n: int,
    sampling: Sampling,
    constraint: Constraint | None,
    top: int | None,
    group: str,
    settings: Settings,
) -> list[Request]:
    """n for each prompt, each with a seed of its own. `top`: log-probabilities that are wanted; None: none at all."""
    return [
        Request(
            ids,
            budget,
            None if constraint is None else Metered(constraint, settings.decode),
            sampling=sampling if sampling.seed is None else replace(sampling, seed=(sampling.seed + i) % (1 << 64)),
            open_end=constraint is not None,
            logprobs=top is not None,
            top_logprobs=top or 0,
            group=group,
        )
        for ids, budget in zip(prompts, budgets, strict=True)
        for i in range(n)
    ]
