"""Tokens chosen with a look at what is still to come, which an HMM tells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..attributes import Attribute
from ..errors import DistillError, SamplingError
from ..grammars import Constraint
from ..hmm import HMM, Floats, Ids
from ..runtime.routine import Routine
from .certificate import Certificate
from .futures import Futures, Table
from .method import Outcome, Problem
from .places import Places, draw, logsum
from .whole import Whole

KEPT = 8  # languages whose tables are remembered


@dataclass(frozen=True)
class Mind:
    """Where a value is: the distribution of the hidden state of its next token, the automaton's state, the tokens left;
    `table` knows the rest."""

    table: Table
    belief: Floats
    state: int
    left: int


@dataclass(frozen=True)
class Lookahead(Whole):
    """Each token x is drawn by p(x | text) × w(x) × P(the value will be complete, and its further weights | text, x).

    p is the model, and P an HMM's, exact for it: it knows the hole's language, the budget and the `attribute` (Zhang et
    al. 2024, "Adaptable Logical Control for Large Language Models" (Ctrl-G); GeLaTo 2023; Weng et al. 2025 (TRACE)).
    Where the model is the HMM, values have exactly the distribution that the model has, given that they are complete,
    times their attribute's weights. Where it is not, what the HMM does not know is biased as by masking.

    hmm        what `lp.distill(model)` gives
    attribute  log-weights of tokens, see `lp.Attribute`
    power      of what the HMM says of the future; 0.0 is masking

    It is also a `Twist`: `SMC(n, potential=Lookahead(hmm))` draws with it and makes up for what the HMM does not know.
    The certificate's logZ is that of a single particle: its exponential is unbiased, and varies much.

    Raises UnsupportedConstraint, when a hole is reached, for a monitor or an automaton that is too large;
    SamplingError for temperature 0 and for filters; DistillError for an HMM of another vocabulary.
    """

    hmm: HMM
    attribute: Attribute | None = None
    power: float = 1.0
    _futures: dict[Constraint, Futures] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.hmm, HMM):
            raise SamplingError(f"Lookahead takes an HMM, as lp.distill(model) gives, not {self.hmm!r}")

    @property
    def choices(self) -> bool:
        return self.attribute is None

    def fill(self, problem: Problem) -> Routine[Outcome]:
        self.check(problem)
        places, mind = Places(problem), self.start(problem)
        rng = np.random.default_rng(problem.request.sampling.seed)
        spot, logZ, logprobs, masked = places.start, 0.0, list[float](), list[float]()
        finish = places.over(spot)
        while finish is None:
            (row,) = yield from places.rows([spot])
            used = self.ahead(mind, row.tokens)
            if row.end == -math.inf and logsum(row.weights + used) == -math.inf:  # for the HMM it cannot go on
                used = np.zeros(len(row.tokens))
            weights = np.append(row.weights + used, row.end)
            total = logsum(weights)
            if total == -math.inf:
                raise SamplingError("the model gives every token that may come here the probability 0")
            at = draw(weights, rng.random())
            logZ += total
            if at == len(row.tokens):
                finish = "length" if spot.left <= 0 else "stop"
                break
            token = int(row.tokens[at])
            logZ -= float(used[at]) - self._weight(token)
            logprobs.append(float(row.weights[at]) * places.temperature)
            masked.append(float(weights[at]) - total)
            mind, after = self.advance(mind, token), places.after(spot, token)
            assert after is not None
            spot, finish = after, places.over(after)
            if problem.request.on_tokens is not None:
                problem.request.on_tokens([token])
        return Outcome(places.tally.result(spot.ids, finish, spot.state, logprobs, masked), Certificate(logZ))

    # -- as a Twist -------------------------------------------------------------------------------------------------

    def start(self, problem: Problem) -> Mind:
        vocab = problem.model.vocab
        if self.hmm.size != vocab.size:
            raise DistillError(f"the HMM has {self.hmm.size} tokens, {problem.model.name} has {vocab.size}: distil it")
        futures = self._futures.pop(problem.constraint, None)
        if futures is None:
            weights = None if self.attribute is None else self.attribute.weights
            futures = Futures(problem.constraint, self.hmm, weights)
        self._futures[problem.constraint] = futures
        if len(self._futures) > KEPT:
            del self._futures[next(iter(self._futures))]
        text = [i for i in problem.request.ids if vocab.token_bytes[i]]
        return Mind(futures.table(problem), self.hmm.behind(text), problem.state, problem.request.max_tokens)

    def value(self, state: Mind) -> float:
        return self.power * _log(float(state.belief @ state.table.will(state.state, state.left)))

    def ahead(self, state: Mind, tokens: Ids) -> Floats:
        with np.errstate(divide="ignore"):
            chances = np.log(state.table.chances(state.belief, state.state, state.left, tokens))
        found = np.where(chances == -math.inf, chances, self.power * chances)
        return found if self.attribute is None else found + self.attribute.weights[tokens]

    def advance(self, state: Mind, token: int) -> Mind:
        to = state.table.constraint.advance(state.state, token)
        assert to is not None
        return Mind(state.table, self.hmm.after(state.belief, token), to, state.left - 1)

    def _weight(self, token: int) -> float:
        return 0.0 if self.attribute is None else float(self.attribute.weights[token])


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
