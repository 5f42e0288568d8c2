"""Adaptive weighted rejection: a token that passes a test, drawn without testing them all.

Lipkin et al. 2025, "Fast Controlled Generation from Language Models with Adaptive Weighted Rejection Sampling".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .places import Floats

GRID = np.linspace(-60.0, 60.0, 481)  # logarithms of the variable of `mean_rate`'s integral


def awrs(weights: Floats, passes: Callable[[int], bool], rng: np.random.Generator) -> tuple[int, float] | None:
    """(an index that passes, with probability in proportion to exp(weights) among those that do; the logarithm of an
    unbiased estimate of the sum of exp(weights) over all that pass, independent of that index); None if none passes.

    Indices are drawn one after the other, and those that fail are removed, until a second one has passed.
    """
    top = float(weights.max())
    masses = np.exp(weights - top)
    first, known = -1, set[int]()
    left: list[float] = []
    while True:
        ends = masses.cumsum()
        if not ends[-1] > 0:
            return None
        left.append(float(ends[-1]))
        at = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        if at not in known and not passes(at):
            masses[at] = 0.0
            continue
        if first >= 0:
            return first, math.log(mean_rate(left)) + top
        first = at
        known.add(at)


def mean_rate(left: Sequence[float]) -> float:
    """An unbiased estimate of the mass Z of what passes, from the masses that were left at each draw up to the second
    one that passed.

    Let every index arrive at random times, at a rate that is its mass. Those that pass then arrive at the rate Z, the
    second at a time t with the expectation of 1 / t being Z; and t is the sum of the waiting times, which are
    exponential with the rates `left`. So E[1 / t | left] = integral over s > 0 of the product of left / (left + s),
    which is 1 / (draws - 1) where nothing is ever removed from a mass of 1. As a function of log s the integrand falls
    off exponentially on both sides, and the plain sum is exact to rounding.
    """
    logs = np.log(np.asarray(left))[:, None]
    terms = GRID - np.logaddexp(0.0, GRID - logs).sum(axis=0)
    return float(np.exp(terms).sum() * (GRID[1] - GRID[0]))
