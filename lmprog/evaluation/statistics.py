"""Intervals for means, and tests for paired differences: known methods, each named where it is used.

Considered and left out: the normal interval for shares (it fails for shares near 0 and 1, and for few rows) and the
percentile bootstrap for means (it is too short for skewed scores).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95  # of all intervals
RESAMPLES = 5000
MANY = 10_000  # scores above which the bootstrap gives what the normal distribution gives
EXACT = 12  # differences whose signs are all tried
CELLS = 4_000_000  # drawn at once
_NORMAL = NormalDist()


class Interval(tuple[float, float]):
    """`low, high = interval`: an interval of 95 % confidence, with `interval.kind`, the method that it comes from."""

    kind: str

    def __new__(cls, low: float, high: float, kind: str) -> Interval:
        made = super().__new__(cls, (low, high))
        made.kind = kind
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:  # for pickle
        return (*self, self.kind)

    @property
    def low(self) -> float:
        return self[0]

    @property
    def high(self) -> float:
        return self[1]

    def __repr__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}] ({self.kind})"


def mean_interval(scores: Sequence[float], seed: int = 0) -> Interval:
    """Of the mean: Wilson's for scores that are all 0 or 1, else the BCa bootstrap, seeded."""
    x = np.asarray(scores, np.float64)
    return wilson(int(x.sum()), len(x)) if binary(x) else bootstrap(x, seed)


def binary(x: Floats) -> bool:
    return bool(np.isin(x, (0.0, 1.0)).all())


def wilson(successes: int, n: int) -> Interval:
    """The score interval of a share (Wilson 1927, "Probable Inference, the Law of Succession, and Statistical
    Inference")."""
    z, share = _NORMAL.inv_cdf((1 + LEVEL) / 2), successes / n
    centre, scale = share + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else (centre - reach) / scale
    return Interval(low, 1.0 if successes == n else (centre + reach) / scale, "Wilson")


def bootstrap(x: Floats, seed: int = 0) -> Interval:
    """Of the mean: bias-corrected and accelerated (Efron 1987, "Better Bootstrap Confidence Intervals"); from the
    normal distribution where there are more than 10,000 values. Of one value, or of equal ones, it has no width."""
    n, mean = len(x), float(x.mean())
    spread = x - mean
    if n == 1 or not spread.any():
        return Interval(mean, mean, "no spread")
    if n > MANY:
        reach = _NORMAL.inv_cdf((1 + LEVEL) / 2) * float(x.std(ddof=1)) / math.sqrt(n)
        return Interval(mean - reach, mean + reach, "normal")
    means = np.sort(np.concatenate([*_resampled(x, seed)]))
    below = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / 2
    shift = _NORMAL.inv_cdf(min(max(below, 1), RESAMPLES - 1) / RESAMPLES)
    skew = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    low, high = [_quantile(means, shift, skew, z) for z in (-1, 1)]
    return Interval(low, high, "BCa bootstrap")


def _resampled(x: Floats, seed: int) -> Iterator[Floats]:
    rng, n, left = np.random.default_rng(seed), len(x), RESAMPLES
    while left:
        some = min(left, max(1, CELLS // n))
        yield x[rng.integers(n, size=(some, n))].mean(axis=1)
        left -= some


def _quantile(means: Floats, shift: float, skew: float, side: int) -> float:
    z = shift + side * _NORMAL.inv_cdf((1 + LEVEL) / 2)
    share = _NORMAL.cdf(shift + z / (1 - skew * z))
    return float(np.quantile(means, share))


def paired_interval(first: Floats, second: Floats, seed: int = 0) -> Interval:
    """Of the mean of `first - second`. Where all are 0 or 1: Newcombe's, as the bootstrap knows no doubt when the two
    nowhere differ; else the BCa bootstrap over the pairs."""
    if not (binary(first) and binary(second)):
        return bootstrap(first - second, seed)
    both = int((first * second).sum())
    wins, losses = int(first.sum()) - both, int(second.sum()) - both
    return newcombe(both, wins, losses, len(first) - both - wins - losses)


def newcombe(both: int, wins: int, losses: int, neither: int) -> Interval:
    """Of the difference of two paired shares (Newcombe 1998, "Improved confidence intervals for the difference between
    binomial proportions based on paired data", method 10)."""
    n = both + wins + losses + neither
    first, second = (both + wins) / n, (both + losses) / n
    (low1, high1), (low2, high2) = wilson(both + wins, n), wilson(both + losses, n)
    size = math.sqrt((both + wins) * (losses + neither) * (both + losses) * (wins + neither))
    product = both * neither - wins * losses
    tie = (max(product - n / 2, 0.0) if product > 0 else product) / size if size else 0.0
    below, above = _reach(first - low1, high2 - second, tie), _reach(high1 - first, second - low2, tie)
    return Interval(first - second - below, first - second + above, "Newcombe")


def _reach(a: float, b: float, tie: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * tie * a * b + b * b))


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p-value that a win is as probable as a loss (McNemar 1947): a binomial test."""
    n = wins + losses
    tail: int = sum([math.comb(n, k) for k in range(min(wins, losses) + 1)])
    return min(1.0, tail / 2 ** (n - 1) if n else 1.0)


def permutation(differences: Floats, seed: int = 0) -> float:
    """The two-sided p-value that each difference could as well have the other sign (Fisher 1935): all signs of up to 12
    differences; of more 10,000 draws, the data counted among them (Phipson and Smyth 2010)."""
    d = differences[differences != 0]
    if not len(d):
        return 1.0
    if len(d) <= EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float(_extreme(d, signs).mean())
    rng, draws, found = np.random.default_rng(seed), 10_000, 0
    for begin in range(0, draws, step := max(1, CELLS // len(d))):
        size = (min(step, draws - begin), len(d))
        found += int(_extreme(d, 1 - 2 * rng.integers(2, size=size, dtype=np.int8)).sum())
    return (found + 1) / (draws + 1)


def _extreme(d: Floats, signs: NDArray[Any]) -> NDArray[np.bool_]:
    sums: Floats = np.abs(signs @ d)
    reached: NDArray[np.bool_] = sums >= abs(d.sum()) * (1 - 1e-12)
    return reached
