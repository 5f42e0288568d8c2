"""Several values of a hole that spread evenly over what may come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import SamplingError
from ..runtime.routine import Routine
from ..runtime.samples import samples
from .base import Sample, derive_seed
from .certificate import Certificate
from .draws import Drawing, check_draws, grouped, particle, taken
from .method import Outcome, Problem, Tally


@dataclass(frozen=True)
class Arithmetic(Drawing):
    """Draws `n` values that spread evenly over the hole's, all at once, and takes one of them by lot (Vilnis et al.
    2023, "Arithmetic Sampling: Parallel Diverse Decoding for Large Language Models"; see `lmprog.runtime.uniforms`).

    The n start from evenly spaced points of one random codebook offset, which a seed decides. Each by itself, and so
    the value, is distributed as under `of`, a `Sample(...)`, by masking. Together they repeat one another less: a
    value, in one spelling, that masking gives the probability p is among them n × p times, rounded up or down.

    The certificate's particles are the different values, the most frequent first; their `share` of the n makes
    sum(share × f(text)) an estimate of the expectation of f under masking that is unbiased and varies less than with
    n independent draws. Those that fail the hole's condition are left out, and count as 0; if the one taken fails, the
    hole is filled again, as under `Sample`.

    `Program.samples` does the same for whole runs. Raises SamplingError at temperature 0.
    """

    of: Sample = field(default=Sample(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.of, Sample):
            raise SamplingError(f"Arithmetic draws token by token, as Sample(...) does, not by {self.of!r}")

    def fill(self, problem: Problem) -> Routine[Outcome]:
        check_draws(self, problem)
        tally, request = Tally(), replace(problem.request, on_tokens=None)
        draws = taken(problem, (yield samples(request, self.n)), tally)
        lot = np.random.default_rng(derive_seed(request.sampling.seed, "lot")).integers(self.n)
        passing = [draw for draw in draws if problem.passes(draw.text)]
        particles = [particle(group, self.n) for group in grouped(passing, lambda draw: draw.text)]
        particles.sort(key=lambda one: -one.share)
        return Outcome(tally.whole(draws[lot].result), Certificate(particles=tuple(particles)))
