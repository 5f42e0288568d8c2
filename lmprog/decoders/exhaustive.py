"""All values of a small language, each with its exact probability."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..errors import NoSample, TooManyValues
from ..runtime.request import Finish
from ..runtime.routine import Routine
from .certificate import Certificate, Particle
from .method import Outcome, Problem
from .places import Places, Row, Spot, draw, logsum
from .whole import Whole, at_least_one

TOGETHER = 64  # rows that are asked for at once


@dataclass(frozen=True, slots=True)
class Found:
    """A value in one spelling, or (`finish` is None) the beginning of one: its worth and, under masking, its
    probability, as logarithms, and the tokens' parts in them."""

    spot: Spot
    finish: Finish | None = None
    worth: float = 0.0
    masked: float = 0.0
    logprobs: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[tuple[int, ...], Finish | None]:
        return self.spot.ids, self.finish

    def ended(self, row: Row, total: float) -> Found:
        """The value that ends here; `row` is that of the spot, `total` its sum."""
        finish: Finish = "length" if self.spot.left <= 0 else "stop"
        return replace(self, finish=finish, worth=self.worth + row.end, masked=self.masked + row.end - total)

    def grown(self, token: int, weight: float, total: float, places: Places) -> Found | None:
        """With one more token, of the row that has the sum `total`. None: it may not come."""
        after = places.after(self.spot, token)
        if after is None:
            return None
        worth, share = self.worth + weight, weight - total
        probs, shares = (*self.logprobs, weight), (*self.shares, share)
        return Found(after, places.over(after), worth, self.masked + share, probs, shares)

    def particle(self, problem: Problem, whole: float) -> Particle:
        """`whole`: the logarithm of all weight."""
        text = problem.text(self.spot.ids, self.spot.state)
        return Particle(text, self.spot.ids, math.exp(self.worth - whole), self.worth, math.exp(self.masked))


@dataclass(frozen=True)
class Exhaustive(Whole):
    """Goes through all values of the hole and draws one by its exact probability: no bias, one row of the model for
    every beginning of a value. For languages of a few hundred values.

    The target is that of `SMC` without potentials, at any temperature. The certificate holds it all: the particles are
    the values (one for each spelling) with their probabilities and those that masking gives them, both bounds are
    log Z, the bias is 0.

    Raises TooManyValues when there are more than `limit` beginnings, NoSample when no value passes; SamplingError as
    `SMC` does.
    """

    limit: int = 2000

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(limit=self.limit)

    @property
    def choices(self) -> bool:
        return False

    def fill(self, problem: Problem) -> Routine[Outcome]:
        self.check(problem)
        places = Places(problem)
        found = yield from values(places, self.limit)
        weights = np.array([value.worth for value in found])
        if not len(weights) or weights.max() == -math.inf:
            raise NoSample("no value has a probability: the model rules out what the hole lets come, or none passes")
        chosen = found[draw(weights, np.random.default_rng(problem.request.sampling.seed).random())]
        assert chosen.finish is not None
        whole = logsum(weights)
        probs = [p * places.temperature for p in chosen.logprobs]
        result = places.tally.result(chosen.spot.ids, chosen.finish, chosen.spot.state, probs, chosen.shares)
        listed = [value.particle(problem, whole) for value in found]
        particles = tuple(sorted(listed, key=lambda particle: -particle.share))
        return Outcome(result, Certificate(whole, (whole, whole), math.exp(whole), 0.0, particles=particles))


def values(places: Places, limit: int) -> Routine[list[Found]]:
    """Every value that passes the hole's condition, in every spelling. Raises TooManyValues."""
    todo, done, seen = [Found(places.start)], list[Found](), 0
    while todo:
        now, todo = todo[:TOGETHER], todo[TOGETHER:]
        seen += len(now)
        if seen > limit:
            raise TooManyValues(f"the values of the hole have more than {limit} beginnings: use ASAp or SMC")
        rows = yield from places.rows([begun.spot for begun in now])
        found = [after for begun, row in zip(now, rows, strict=True) for after in _after(begun, row, places)]
        todo += [after for after in found if after.finish is None]
        done += [after for after in found if after.finish is not None]
    problem = places.problem
    return [value for value in done if problem.passes(problem.text(value.spot.ids, value.spot.state))]


def _after(begun: Found, row: Row, places: Places) -> Iterator[Found]:
    total = row.total
    if row.end > -math.inf:
        yield begun.ended(row, total)
    for token, weight in zip(row.tokens.tolist(), row.weights.tolist(), strict=True):
        if weight > -math.inf and (after := begun.grown(token, weight, total, places)) is not None:
            yield after
