"""Grammar-aligned decoding: adaptive sampling with approximate expected futures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import NoSample, SamplingError
from ..runtime.routine import Routine
from .certificate import Certificate
from .method import Outcome, Problem
from .places import Places
from .trie import Drawn, Memory, Trie
from .whole import Whole, at_least_one

SPARE = 256  # draws that may come to nothing, beyond the rounds
SETTLED = 1e-9  # a relative gap between the bounds below which nothing is left to be learnt


@dataclass(frozen=True, kw_only=True)
class Learning(Whole):
    """What lives on in a decoder from call to call: tries of at most `memory` bytes in all."""

    memory: int = 64 << 20

    @cached_property
    def known(self) -> Memory:
        return Memory(self.memory)

    def opened(self, problem: Problem, memory: Memory) -> tuple[Places, Trie]:
        """The problem's places, and what is known of them. Raises SamplingError as `check`, and above T = 1."""
        self.check(problem)
        if problem.request.sampling.temperature > 1:
            name = type(self).__name__
            raise SamplingError(f"{name} needs a temperature of at most 1: above it, mass has no upper bound (use SMC)")
        places = Places(problem)
        return places, memory.trie(places)


@dataclass(frozen=True)
class ASAp(Learning):
    """Draws whole values, and learns from each how much of the model's probability goes on to values of the hole.

    Masking draws each token as if everything behind it counted; ASAp draws it by probability × expected future, for
    which it has upper bounds in a trie. Each of `rounds` draws lowers them, and the last draw is the value: its
    distribution comes ever closer to the model's own, given that the text is a value of the hole (Park et al. 2024,
    "Grammar-Aligned Decoding"). The trie lives on in this decoder, for every hole, model and text before it, in at most
    `memory` bytes: later calls go on where earlier ones were. So the same seed gives the same text only from a new one.

    The target, at a temperature T of at most 1, is worth(x) ** (1 / T) over the values x, up to their sum: the
    probability of the whole value tempered, not of each token by itself. A condition that is a function
    (`where=lambda x: ...`) is part of it: a value that fails is never drawn again.

    The certificate has `logZ`, whose exponential is unbiased (of the sum; with T = 1 the probability that the model
    writes a value of the hole), its exact bounds, `acceptance`, the share of draws that would have been kept by a
    rejection, and `bias`: Kullback-Leibler divergence from the target to what was drawn from is at most that.

    Raises SamplingError for settings that change single tokens (top_p, penalties) and for T above 1; NoSample when
    the model gives no value a probability, or the condition is never met.
    """

    rounds: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(rounds=self.rounds)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        places, trie = self.opened(problem, self.known)
        rng = np.random.default_rng(problem.request.sampling.seed)
        kept: list[float] = []
        drawn: Drawn | None = None
        while (done := len(kept)) < self.rounds + SPARE:
            if done >= self.rounds and drawn is not None and drawn.finish is not None:
                break
            if trie.root.bound == 0:
                raise nothing(trie)
            drawn = yield from trie.draw(places, rng, early=False)
            kept.append(drawn.kept)
            if drawn.finish is not None and trie.root.low >= trie.root.bound * (1 - SETTLED):
                break
        if drawn is None or drawn.finish is None:
            raise nothing(trie)
        return outcome(places, trie, drawn, sum(kept) / len(kept), bias=True)


def nothing(trie: Trie) -> NoSample:
    if trie.root.bound == 0:
        return NoSample("no value has a probability: the model rules out what the hole lets come, or none passes")
    return NoSample(f"{trie.draws} draws came to no value that passes; at most {trie.root.bound:.3g} of all would")


def outcome(places: Places, trie: Trie, drawn: Drawn, acceptance: float, bias: bool) -> Outcome:
    """The value that was drawn, with what the trie knows by now. `bias`: it is not exact."""
    assert drawn.finish is not None
    logprobs = [p * places.temperature for p in drawn.logprobs]
    result = places.tally.result(drawn.spot.ids, drawn.finish, drawn.spot.state, logprobs, drawn.masked)
    low, high, mass = trie.root.low, trie.root.bound, trie.mass / trie.draws
    bounds = (math.log(low) if low > 0 else -math.inf, math.log(high))
    gap = max(0.0, math.log(drawn.bound) - bounds[0]) if bias else 0.0
    return Outcome(result, Certificate(math.log(mass) if mass else -math.inf, bounds, acceptance, gap))
