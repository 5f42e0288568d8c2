"""Contrastive decoding: what a part of the prompt makes more probable becomes more probable still."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import NoSample, SamplingError
from ..models import LanguageModel
from ..runtime.routine import Routine, together
from ..runtime.sampling import Sampling
from .method import Outcome, Problem
from .places import Floats, Places, Row, draw, logsum
from .potentials import Also, prompts
from .whole import check_weighs

LEAST = -1e9  # stands for the logarithm of nothing where it is subtracted


@dataclass(frozen=True)
class Contrast:
    """Chooses tokens by what they gain from a part of the prompt (context-aware decoding: Shi et al. 2023, "Trusting
    Your Evidence: Hallucinate Less with Context-aware Decoding"). Under the mask, the logit of a token is

        log p(token | the prompt) + alpha × (log p(token | the prompt) - log p(token | the other prompt))

    drop         the other prompt is that of the hole without this text, where it stands last: a document, say
    against      the other prompt is this text
    plausible    only tokens of at least this share of the most probable one's probability, behind the prompt, may come
                 (Li et al. 2022, "Contrastive Decoding: Open-ended Text Generation as Optimization")
    temperature  0 takes the best token; above, tokens are drawn, with a `seed` reproducibly

    The end of a value counts as one more token, however the value ends (see `lmprog.decoders.places`). Both prompts are
    asked together, for every token. The end of the text before the hole is not spelt anew. Log-probabilities in
    captures and traces are those behind the prompt alone.

    Raises SamplingError for settings that change single tokens (top_p, penalties), and where the text before a hole
    does not have what is to be dropped; NoSample where a monitor leads into a dead end.
    """

    drop: str | None = None
    against: str | None = None
    alpha: float = 0.5
    plausible: float = 0.0
    temperature: float = 0.0
    seed: int | None = None

    def __post_init__(self) -> None:
        self.sampling()
        if bool(self.drop) == (self.against is not None):
            raise SamplingError("Contrast takes either the text to drop from the prompt or another prompt (against=)")
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise SamplingError(f"alpha is a finite number of 0 or more, not {self.alpha!r}")
        if not 0 <= self.plausible <= 1:
            raise SamplingError(f"plausible lies in [0, 1], not {self.plausible!r}")

    @property
    def choices(self) -> bool:
        return False

    @property
    def heals(self) -> bool:
        return False

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, seed=self.seed)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_weighs(self, problem)
        ours, theirs = _places(problem, problem.request.ids), _places(problem, self._other(problem))
        sampling = problem.request.sampling
        rng, temperature = np.random.default_rng(sampling.seed), sampling.temperature or 1.0
        spot, finish = ours.start, ours.over(ours.start)
        logprobs: list[float] = []
        masked: list[float] = []
        while finish is None:
            (row,), (other,) = yield from together([ours.rows([spot]), theirs.rows([spot])])
            weights = self._weights(row, other) / temperature
            if weights.max() == -math.inf:
                raise NoSample("nothing may come any more, and the value may not end here: a monitor led to this")
            at = int(weights.argmax()) if sampling.greedy else draw(weights, rng.random())
            after = ours.after(spot, int(row.tokens[at])) if at < len(row.tokens) else None
            if after is None:
                finish = "length" if spot.left <= 0 else "stop"
            else:
                logprobs.append(float(row.weights[at]))
                masked.append(float(weights[at]) - logsum(weights))
                spot, finish = after, ours.over(after)
        ours.tally.computed += theirs.tally.computed
        return Outcome(ours.tally.result(spot.ids, finish, spot.state, logprobs, masked))

    def _weights(self, row: Row, other: Row) -> Floats:
        """Of the row's tokens, then of the end, at temperature 1."""
        ours, theirs = np.append(row.weights, row.end), np.append(other.weights, other.end)
        weights: Floats = ours + self.alpha * (np.maximum(ours, LEAST) - np.maximum(theirs, LEAST))
        if self.plausible:
            weights[ours < ours.max() + math.log(self.plausible)] = -math.inf
        return weights

    def _other(self, problem: Problem) -> Sequence[int]:
        if self.against is not None:
            return prompts([Also(self.against)], problem)[0][0]
        assert self.drop is not None
        return without(problem.request.ids, self.drop, problem.model) or sorted(problem.model.vocab.eos)[:1]


def without(ids: Sequence[int], drop: str, model: LanguageModel) -> list[int]:
    """The ids of a text without `drop`, where it stands last; what is around it in the same tokens is spelt anew.

    Raises SamplingError where it does not stand.
    """
    texts = [model.vocab.token_bytes[i] or b"" for i in ids]
    ends = np.cumsum([len(text) for text in texts])
    data = b"".join(texts)
    begin = data.rfind(drop.encode())
    if begin < 0:
        raise SamplingError(f"the text before the hole does not have what is to be dropped: {drop[:60]!r}")
    end = begin + len(drop.encode())
    first, last = int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(ends, end))
    left = data[int(ends[first]) - len(texts[first]) : begin] + data[end : int(ends[last])]
    return [*ids[:first], *model.vocab.encode(left), *ids[last + 1 :]]


def _places(problem: Problem, ids: Sequence[int]) -> Places:
    return Places(replace(problem, request=replace(problem.request, ids=ids, sampling=Sampling(1.0))))
