"""How good probabilities are: whether they tell right from wrong, and whether they mean what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
RESAMPLES = 500
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Figure:
    """A measure with the middle 95 % of its bootstrap distribution; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "-" if math.isnan(self.value) else f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def auroc(scores: Floats, right: Bools) -> float:
    """The probability that a right value has a higher score than a wrong one, ties counting half (Hanley and McNeil,
    1982); NaN when all are right or all are wrong."""
    ones = int(right.sum())
    zeros = len(right) - ones
    if not (ones and zeros):
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((ranks[place][right].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def ece(scores: Floats, right: Bools) -> float:
    """The expected calibration error: how far the mean score is from the share that is right, in ten bins of equal
    width (Naeini, Cooper and Hauskrecht, 2015)."""
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=scores - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(scores))


def figure(
    measure: Callable[[Floats, Bools], float],
    scores: Sequence[float],
    right: Sequence[bool],
    groups: Sequence[Hashable],
) -> Figure:
    """A measure with its interval. Whole groups (documents) are drawn, since the values of one hang together."""
    s, r = np.array(scores, np.float64), np.array(right, np.bool_)
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    blocks = [np.array(block) for block in members.values()]
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))])
        draws.append(measure(s[chosen], r[chosen]))
    known = [draw for draw in draws if not math.isnan(draw)]
    low, high = np.quantile(known, [0.025, 0.975]) if known else (math.nan, math.nan)
    return Figure(measure(s, r), float(low), float(high))
