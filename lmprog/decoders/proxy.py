"""Proxy tuning: what tuning did to a small model is done to a large one, token by token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SamplingError
from ..runtime.model import Model
from ..runtime.routine import Routine
from ..runtime.sampling import real
from .blending import Blended, check_models, check_share, gained, only_plausible, outcomes, places_of
from .method import Outcome, Problem
from .places import Floats, Row, Spot


@dataclass(frozen=True)
class Proxy(Blended):
    """Moves the model that a program runs on by the difference between two others (Liu et al. 2024, "Tuning Language
    Models by Proxy"). Under the mask, the logit of a token is

        log p(token) + alpha × (log tuned(token) - log base(token))

    tuned, base   models of the same vocabulary: a small one that was tuned, and the one that it was made from. Either
                  may be the program's own model
    alpha         how much the difference counts
    plausible     only tokens of at least this share of the most probable one's probability under p may come

    All three are asked behind the same prompt, at the same time, each on its own engine. Each has its own ends of text.
    See `Blended` for `temperature`, `seed`, and what is raised; also SamplingError where a model has another
    vocabulary, and EngineClosed where one was closed.
    """

    tuned: Model
    base: Model
    alpha: float = 1.0
    plausible: float = 0.0

    def __post_init__(self) -> None:
        self.sampling()
        check_models(tuned=self.tuned, base=self.base)
        check_share(self.plausible)
        if not 0 <= real(self.alpha) < math.inf:
            raise SamplingError(f"alpha is a finite number of 0 or more, not {self.alpha!r}")

    def fill(self, problem: Problem) -> Routine[Outcome]:
        places = [places_of(problem), places_of(problem, by=self.tuned), places_of(problem, by=self.base)]
        return (yield from self.blended(problem, places, self._weights))

    def _weights(self, _: Spot, rows: Sequence[Row]) -> Floats:
        ours, tuned, base = map(outcomes, rows)
        return only_plausible(ours + self.alpha * gained(tuned, base), ours, self.plausible)
