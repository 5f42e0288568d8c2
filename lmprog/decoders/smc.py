"""Sequential Monte Carlo: many values at once, weighed against each other while they grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import NoSample, SamplingError
from ..runtime.routine import Routine
from ..runtime.sampling import real
from .certificate import Certificate, Particle
from .method import Outcome, Problem
from .places import Places, draw
from .potentials import Also, Judge, Potential, Twist, listed, prompts
from .sweep import Sweep, Swept, Walker
from .whole import Whole, at_least_one

STEPS = {"token": None, "word": " \t\n\r\f\v", "line": "\n"}
PASSES = 16  # when all particles of one have died
EXACT = 64  # passes in search of an exact sample, for the upper bound


@dataclass(frozen=True)
class SMC(Whole):
    """`n` particles, values under way, that grow token by token; those that turn out improbable make room for copies of
    the others. At the end one is drawn by weight (Lew et al. 2023; Loula et al. 2025, see `decoders.sweep`).

    potential  what values are weighed by, beyond the model and the hole's language: a function of the whole text,
               `Prefix(f)`, `Also(prompt)`, a `Twist`, or a list of them (see `lmprog.decoders.potentials`). A condition
               of the hole that is a function (`where=lambda x: ...`) is one of them
    expand     each particle is tried in so many ways at every step, of which n remain: those of great weight as they
               are, the others by lot
    threshold  of the effective sample size, as a share of n, below which particles are resampled (with expand=1)
    step       what is weighed and resampled together: "token", "word" (to the next white space), "line", or whatever
               ends with one of these characters, as in step=".!?". A token that goes on behind such a character ends
               the step, too. Longer steps resample less often, and weigh particles that are equally far
    bounds     look for two-sided bounds of log Z too, which takes two to several times as long

    The target, at a temperature T, is worth(x) ** (1 / T) × the potentials, over the values x, up to their sum Z: see
    `lmprog.decoders.places`. One value is drawn from it as n goes to infinity; with few particles there is a bias
    of the order 1 / n.

    The certificate has all particles with their weights, the effective sample size after each step, and `logZ`, the
    logarithm of an unbiased estimate: -inf where all particles of the first pass died and the value is of a later one.
    With `bounds` the first of `logZ_bounds` is that logarithm, whose mean is at most log Z (Jensen). The second is the
    same of a pass in which one particle is kept that is an exact sample of the target, so that its mean is at least
    log Z (bidirectional Monte Carlo: Grosse et al. 2015, "Sandwiching the marginal likelihood using bidirectional Monte
    Carlo"); infinite where 64 passes of rejection find no exact sample. Both are stochastic: each holds on average,
    and is wrong by more than b in at most exp(-b) of all cases. `bias` is their difference, of which the mean bounds
    the divergence between what is drawn and the target, in both directions together.

    Raises SamplingError for settings that change single tokens (top_p, penalties); NoSample when in 16 passes no
    particle came to a value of any weight.
    """

    n: int = 16
    potential: Potential | Sequence[Potential] | None = None
    expand: int = 1
    threshold: float = 0.5
    bounds: bool = False
    step: str = "token"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(n=self.n, expand=self.expand)
        if not 0 <= real(self.threshold) <= 1:
            raise SamplingError(f"threshold lies in [0, 1], not {self.threshold!r}")
        if not isinstance(self.step, str) or not self.step:
            raise SamplingError(f'step is "token", "word", "line" or the characters that end one, not {self.step!r}')
        object.__setattr__(self, "potential", listed(self.potential))

    @property
    def choices(self) -> bool:
        return not self.potential

    @property
    def heals(self) -> bool:
        return not any([isinstance(one, Also) for one in listed(self.potential)])

    def fill(self, problem: Problem) -> Routine[Outcome]:
        self.check(problem)
        potentials = listed(self.potential)
        places = Places(problem, prompts(potentials, problem))
        rng = np.random.default_rng(problem.request.sampling.seed)
        ends = STEPS.get(self.step, self.step)
        sweep = Sweep(places, Judge(potentials, places), rng, lazy=isinstance(self, AWRS), ends=ends)
        passes: list[Swept] = []
        while not passes or not passes[-1].walkers:
            if len(passes) == PASSES:
                raise NoSample(f"in {PASSES} passes of {self.n} particles, none came to a value of any weight: raise n")
            passes.append((yield from sweep.run(self.n, self.expand, self.threshold)))
        upper = (yield from self._upper(sweep)) if self.bounds else None
        return self._outcome(places, passes[0].logZ, passes[-1], upper, rng)

    def _upper(self, sweep: Sweep) -> Routine[float]:
        """A stochastic upper bound of log Z."""
        n = self.n * self.expand
        exact = yield from self._exact(sweep, n)
        if exact is None:
            return math.inf
        keep: list[int | None] = [*exact.spot.ids, *([] if exact.finish == "complete" else [None])]
        return (yield from sweep.run(n, 1, self.threshold, keep)).logZ

    def _exact(self, sweep: Sweep, n: int) -> Routine[Walker | None]:
        """An exact sample of the target, by rejection; None if there is none to be had."""
        for _ in range(EXACT):
            swept = yield from sweep.run(n, 1, 0.0)
            for walker in swept.walkers:
                share = math.exp(walker.logweight) * n
                if share > 1 + 1e-9:  # weights have no bound that is known
                    return None
                if sweep.rng.random() < share:
                    return walker
        return None

    def _outcome(
        self, places: Places, estimate: float, swept: Swept, upper: float | None, rng: np.random.Generator
    ) -> Outcome:
        walkers, weights = swept.walkers, np.array([walker.logweight for walker in swept.walkers])
        chosen = walkers[draw(weights, rng.random())]
        assert chosen.finish is not None
        probs = [p * places.temperature for p in chosen.logprobs]
        spot = chosen.spot
        result = places.tally.result(spot.ids, chosen.finish, spot.state, probs, chosen.masked)
        particles = sorted([_particle(places, walker, swept.logZ) for walker in walkers], key=lambda p: -p.share)
        bounds = None if upper is None else (estimate, upper)
        gap = None if upper is None else upper - estimate
        return Outcome(result, Certificate(estimate, bounds, None, gap, swept.ess, tuple(particles)))


def _particle(places: Places, walker: Walker, whole: float) -> Particle:
    text = places.problem.text(walker.spot.ids, walker.spot.state)
    return Particle(text, walker.spot.ids, math.exp(walker.logweight - whole), walker.logweight)


@dataclass(frozen=True)
class AWRS(SMC):
    """SMC that asks about single tokens instead of masks: each is drawn from the whole vocabulary, and those that the
    language, or a `Prefix`, does not allow are drawn anew, until one may come. What that leaves out is made up for by
    unbiased weights (Lipkin et al. 2025, see `decoders.awrs`).

    Slower than SMC where masks are cheap, as those of grammars are here, and the same in what it draws. It pays off
    where a test of a text costs much; SMC itself works so where a `Prefix` meets a place with more than 64 tokens.
    Twists are refused: they say nothing of tokens that are not allowed. `expand` counts as in SMC.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if any([isinstance(one, Twist) for one in listed(self.potential)]):
            raise SamplingError("AWRS takes no Twist: use SMC")
