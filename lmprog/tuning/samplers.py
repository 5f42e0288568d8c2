"""What to try next. Samplers keep nothing: the same points give the same choice, so that a search can be resumed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from ..errors import TuningError
from .space import Choice, Grid, Space
from .surrogate import Surrogate
from .tpe import TPE

Searching = Literal["joint", "random", "tpe"]
NEAR = 8  # of the best choices, whose neighbours are looked at in spaces too large to list


@dataclass(frozen=True)
class Point:
    """A choice that was tried: its score, and the variance of that score's noise."""

    choice: Choice
    score: float
    noise: float = 0.0


class Sampler(Protocol):
    def suggest(self, points: Sequence[Point]) -> Choice | None:
        """A choice that is none of the points; None when there is no other, as far as it can tell."""


@dataclass(frozen=True)
class Random:
    """Any choice not seen yet, all equally probable."""

    space: Space
    seed: int

    def suggest(self, points: Sequence[Point]) -> Choice | None:
        rng = np.random.default_rng((self.seed, len(points)))
        pool = self.space.pool({point.choice for point in points}, (), rng)
        return _choice(pool[int(rng.integers(len(pool)))]) if len(pool) else None


@dataclass(frozen=True)
class Joint:
    """First choices in which each candidate comes up once, then those that a `Surrogate` expects most of."""

    space: Space
    seed: int

    def suggest(self, points: Sequence[Point]) -> Choice | None:
        rng = np.random.default_rng((self.seed, len(points)))
        best = sorted(points, key=lambda point: -point.score)[:NEAR]
        pool = self.space.pool({point.choice for point in points}, [point.choice for point in best], rng)
        if not len(pool):
            return None
        pool = pool[rng.permutation(len(pool))]  # equals in a random order
        if len(points) < max(self.space.sizes):
            return _choice(pool[_balanced([point.choice for point in points], pool)])
        surrogate = Surrogate(self.space.sizes, [name.rpartition(".")[0] for name in self.space.names])
        seen = np.array([point.choice for point in points], np.intp)
        scores, noise = [np.array([getattr(point, name) for point in points]) for name in ("score", "noise")]
        return _choice(pool[int(surrogate.improvement(seen, scores, noise, pool).argmax())])


def _balanced(seen: Sequence[Choice], pool: Grid) -> int:
    """The choice whose candidates, and pairs of them, were tried least: greedily what a Latin hypercube is."""
    levels = Counter(itertools.chain.from_iterable(map(_levels, seen)))
    costs = [sum([levels[level] for level in _levels(_choice(row))]) for row in pool]
    return int(np.argmin(costs))


def _levels(choice: Choice) -> list[tuple[tuple[int, int], ...]]:
    single = list(enumerate(choice))
    return [*[(one,) for one in single] * 2, *itertools.combinations(single, 2)]


def _choice(row: Grid) -> Choice:
    return tuple(row.tolist())


def sampler(method: str, space: Space, seed: int) -> Sampler:
    """Raises TuningError for an unknown method, or where the extra that it needs is missing."""
    if method == "random":
        return Random(space, seed)
    if method == "tpe":
        return TPE(space, seed, Random(space, seed))
    if method != "joint":
        raise TuningError(f"method is one of {', '.join(get_args(Searching))}, not {method!r}")
    return Joint(space, seed)
