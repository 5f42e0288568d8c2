"""Rejection sampling that learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import NoSample
from ..runtime.routine import Routine
from .asap import Learning, nothing, outcome
from .method import Outcome, Problem
from .trie import Memory
from .whole import at_least_one


@dataclass(frozen=True)
class Rejection(Learning):
    """Draws values until one may be kept: exactly the distribution of the model's own text, given that it is a value of
    the hole (and passes its condition), whatever that costs.

    Plain rejection would have the model write freely and throw away what is no value. Here every draw is a value, by
    the mask, and is kept with the probability that a free draw would not have left the language along its way; with
    `adaptive` that is remembered in the trie of ASAp, where the next draw begins, so that no mistake is made twice and
    more and more draws are kept (Parys et al. 2025, "Constrained Adaptive Rejection Sampling"). Draws without it are
    independent, and need 1 / acceptance of them on average.

    The target, the certificate and the errors are those of `ASAp`, with a `bias` of 0. NoSample is raised when none of
    `tries` draws was kept; its `acceptance` is an upper bound of Z, the share that plain rejection would keep.
    """

    tries: int = 1000
    adaptive: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(tries=self.tries)

    def fill(self, problem: Problem) -> Routine[Outcome]:
        places, trie = self.opened(problem, self.known if self.adaptive else Memory(0))
        rng = np.random.default_rng(problem.request.sampling.seed)
        for tried in range(1, self.tries + 1):
            if trie.root.bound == 0:
                raise nothing(trie)
            if not self.adaptive:
                trie.root.bound = 1.0
            drawn = yield from trie.draw(places, rng, early=True)
            if drawn.finish is not None:
                return outcome(places, trie, drawn, 1 / tried, bias=False)
        raise NoSample(
            f"none of {self.tries} draws was kept: at most {trie.root.bound:.3g} of what the model writes are values. "
            "Raise tries, or use ASAp or SMC, which weigh values instead",
            trie.root.bound,
        )
