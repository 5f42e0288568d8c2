"""Token by token by more than one distribution: behind several prompts, or of several models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import NoSample, SamplingError
from ..runtime.model import Model
from ..runtime.routine import Routine, together
from ..runtime.sampling import Sampling, real
from .method import Outcome, Problem
from .places import Floats, Places, Row, Spot, draw, logsum
from .whole import check_weighs

LEAST = -1e9  # stands for the logarithm of nothing where it is subtracted
Blend = Callable[[Spot, Sequence[Row]], Floats]


@dataclass(frozen=True, kw_only=True)
class Blended:
    """temperature   0 takes the best token; above, tokens are drawn, with a `seed` reproducibly

    The end of a value counts as one more token, however the value ends (see `lmprog.decoders.places`). All
    distributions are asked together, for every token. The end of the text before the hole is not spelt anew.
    Log-probabilities in captures and traces are those behind the prompt alone, of the model that the program runs on;
    `masked` ones those that were drawn from.

    Raises SamplingError for settings that change single tokens (top_p, penalties); NoSample where nothing may come any
    more, as when a monitor leads into a dead end.
    """

    temperature: float = 0.0
    seed: int | None = None

    @property
    def choices(self) -> bool:
        return False

    @property
    def heals(self) -> bool:
        return False

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, seed=self.seed)

    def blended(self, problem: Problem, all_places: Sequence[Places], blend: Blend) -> Routine[Outcome]:
        """Fill the hole. `blend` gives the logits at temperature 1, of a spot's tokens and then of the end, by its row
        in each of the places; the first ones are those behind the prompt itself."""
        check_weighs(self, problem)
        return (yield from stepwise(all_places, blend, problem.request.sampling))


def stepwise(all_places: Sequence[Places], blend: Blend, sampling: Sampling) -> Routine[Outcome]:
    """Fill a hole token by token, as `Blended.blended`."""
    ours = all_places[0]
    rng, temperature = np.random.default_rng(sampling.seed), sampling.temperature or 1.0
    spot, finish = ours.start, ours.over(ours.start)
    logprobs: list[float] = []
    masked: list[float] = []
    while finish is None:
        rows = [row for (row,) in (yield from together([places.rows([spot]) for places in all_places]))]
        if rows[0].total == -math.inf:
            raise NoSample("nothing may come any more, and the value may not end here: a monitor led to this")
        weights = blend(spot, rows) / temperature
        at, row = int(weights.argmax()) if sampling.greedy else draw(weights, rng.random()), rows[0]
        after = ours.after(spot, int(row.tokens[at])) if at < len(row.tokens) else None
        if after is None:
            finish = "length" if spot.left <= 0 else "stop"
        else:
            logprobs.append(float(row.weights[at]))
            masked.append(float(weights[at]) - logsum(weights))
            spot, finish = after, ours.over(after)
    ours.tally.computed += sum([places.tally.computed for places in all_places[1:]])
    return Outcome(ours.tally.result(spot.ids, finish, spot.state, logprobs, masked))


def places_of(problem: Problem, ids: Sequence[int] | None = None, by: Model | None = None) -> Places:
    """Where the value may go behind other `ids`, or `by` another model.

    Raises SamplingError for a model with other tokens.
    """
    if by is not None:
        check_alike(problem, by)
    ids = problem.request.ids if ids is None else ids
    problem = replace(problem, request=replace(problem.request, ids=ids, sampling=Sampling(1.0)))
    return Places(problem, by=None if by is problem.model else by)


def check_alike(problem: Problem, other: Model) -> None:
    """Raises SamplingError where a token of one model is not the same text in the other."""
    ours, theirs, model = problem.model.vocab, other.vocab, problem.model
    if ours.spelling == theirs.spelling:
        return
    known = [[token or None for token in vocab.token_bytes] for vocab in (ours, theirs)]
    length = max(map(len, known))
    mine, its = [tokens + [None] * (length - len(tokens)) for tokens in known]
    at = next(i for i in range(length) if mine[i] != its[i])
    raise SamplingError(
        f"{other.name} has another vocabulary than {model.name}: token {at} is {its[at]!r} there and {mine[at]!r} here"
    )


def check_models(**models: Model) -> None:
    """Raises SamplingError for what is no model of this process."""
    for name, model in models.items():
        if not isinstance(model, Model):
            raise SamplingError(
                f"{name} is a model in this process, which tells how probable given tokens are (lp.load), not {model!r}"
            )


def check_text(name: str, text: str) -> None:
    """Raises SamplingError for what is empty, or no text."""
    if not isinstance(text, str) or not text:
        raise SamplingError(f"{name} is a text that is not empty, not {text!r}")
    if not text.isascii() and any(["\ud800" <= char <= "\udfff" for char in text]):
        raise SamplingError(f"{name} has a lone surrogate, which is not text: {text!r}")


def check_share(share: float) -> None:
    """Raises SamplingError for what is no share."""
    if not 0 <= real(share) <= 1:
        raise SamplingError(f"plausible lies in [0, 1], not {share!r}")


def outcomes(row: Row) -> Floats:
    """Log-probabilities of the row's tokens, then of the end."""
    return np.append(row.weights, row.end)


def gained(ours: Floats, theirs: Floats) -> Floats:
    """The difference of log-probabilities, 0 where neither has any."""
    difference: Floats = np.maximum(ours, LEAST) - np.maximum(theirs, LEAST)
    return difference


def only_plausible(weights: Floats, ours: Floats, share: float) -> Floats:
    """Without what has less than that share of the most probable one's probability."""
    return np.where(ours < ours.max() + math.log(share), -math.inf, weights) if share else weights
