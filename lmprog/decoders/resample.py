"""Fewer particles instead of many, without a bias: the expected weight of every particle stays what it was."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .places import Floats, logsum

Indices = NDArray[np.intp]


def ess(logweights: Floats) -> float:
    """Effective sample size: 1 / the sum of squares of the shares."""
    return math.exp(2 * logsum(logweights) - logsum(2 * logweights))


def systematic(shares: Floats, n: int, rng: np.random.Generator) -> Indices:
    """n indices, each expected shares × n times: evenly spaced points with one random shift."""
    ends = shares.cumsum()
    points = (np.arange(n) + rng.random()) * (ends[-1] / n)
    found: Indices = np.minimum(np.searchsorted(ends, points, side="right"), np.flatnonzero(shares)[-1])
    return found


def multinomial(shares: Floats, n: int, rng: np.random.Generator) -> Indices:
    """n indices, independent of each other."""
    ends = shares.cumsum()
    points = rng.random(n) * ends[-1]
    found: Indices = np.minimum(np.searchsorted(ends, points, side="right"), np.flatnonzero(shares)[-1])
    return found


def thinned(logweights: Floats, n: int, rng: np.random.Generator) -> tuple[Indices, Floats]:
    """n different ones, and their new logarithmic weights: Fearnhead & Clifford 2003, "On-line inference for hidden
    Markov models via particle filters". With a level c for which the sum of min(weight / c, 1) is n, those above c stay
    as they are; of the others as many as fit are drawn and weigh c.
    """
    alive = np.flatnonzero(logweights > -math.inf)
    if len(alive) <= n:
        return alive, logweights[alive]
    order = alive[np.argsort(-logweights[alive], kind="stable")]
    weights = np.exp(logweights[order] - logweights[order[0]])
    rest = weights[::-1].cumsum()[::-1]  # of each and all that are lighter
    kept = 0
    while kept < n and weights[kept] * (n - kept) >= rest[kept]:
        kept += 1
    if kept == n:
        return order[:n], logweights[order[:n]]
    level = math.log(rest[kept] / (n - kept)) + float(logweights[order[0]])
    drawn = kept + systematic(weights[kept:], n - kept, rng)
    chosen = np.concatenate([order[:kept], order[drawn]])
    return chosen, np.concatenate([logweights[order[:kept]], np.full(n - kept, level)])
