"""top_k, top_p and min_p on one row of logits.

Tokens are compared by their logits, so that no rounding of exponentials decides, and the few that may stay are weighed
in float64. A full row is never sorted unless the nucleus holds a quarter of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .exponentials import COLDEST, Row, exponentials
from .sampling import Sampling

Indices = NDArray[np.intp]
GROUP = 64
LONG = 4096
FIRST, FACTOR = 256, 16  # sizes tried for a nucleus


def kept(logits: Row, top: float, sampling: Sampling) -> Indices:
    """The indices that the filters keep, ascending. `top`: the largest logit, finite."""
    indices: Indices | None = None
    if 0 < sampling.top_k < len(logits):
        indices = largest(logits, sampling.top_k)
    if sampling.top_p < 1:
        indices = _nucleus(logits, indices, top, sampling)
    if sampling.min_p > 0:
        indices = _likely(logits, indices, top, sampling)
    return np.arange(len(logits)) if indices is None else indices


def weights(logits: Row, top: float, temperature: float) -> NDArray[np.float64]:
    """exp of the logits at a temperature, as shares of the largest."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp((logits.astype(np.float64) - top) / max(temperature, COLDEST)))


def largest(logits: Row, k: int) -> Indices:
    """The k largest, ties by index; ascending indices."""
    if k >= len(logits):
        return np.arange(len(logits))
    candidates = np.flatnonzero(logits >= _bound(logits, k))
    values = logits[candidates]
    return candidates[_first(values, float(np.partition(values, len(values) - k)[len(values) - k]), k)]


def _first(values: Row, least: float, k: int) -> Indices:
    """Of k values that are `least` or more: those above, and of those equal to it the first."""
    stay = values > least
    ties = np.flatnonzero(values == least)[: k - int(np.count_nonzero(stay))]
    stay[ties] = True
    return np.flatnonzero(stay)


def _bound(logits: Row, k: int) -> float:
    """A number that at least k of the logits reach, and not many more.

    Of a long row, the k-th largest of the maxima of groups: k groups reach it, and finding it costs a tenth of
    partitioning the row.
    """
    groups = len(logits) // GROUP
    if groups >= k:
        logits = logits[: groups * GROUP].reshape(GROUP, groups).max(axis=0)
    return float(np.partition(logits, len(logits) - k)[len(logits) - k])


def _nucleus(logits: Row, indices: Indices | None, top: float, sampling: Sampling) -> Indices:
    """The fewest of the largest whose share is at least top_p."""
    size = FIRST
    size = FIRST
    values = logits if indices is None else logits[indices]
    target = sampling.top_p * _total(values, top, sampling.temperature)
    while True:  # rarely more than one round
        among = largest(values, size)
        ordered = -np.sort(-values[among])
        cumulated = weights(ordered, top, sampling.temperature).cumsum()
        if cumulated[-1] >= target or len(among) == len(values):
            break
        size *= FACTOR
    n = min(int(np.searchsorted(cumulated, target)) + 1, len(ordered))
    among = among[_first(values[among], float(ordered[n - 1]), n)]
    return among if indices is None else indices[among]


def _total(values: Row, top: float, temperature: float) -> float:
    """The sum of the weights; of a long row, of float32 ones."""
    if len(values) < LONG:
        return float(weights(values, top, temperature).sum())
    shares, sums = exponentials(values, temperature)
    return float(sums.sum()) / float(shares.max())


def _likely(logits: Row, indices: Indices | None, top: float, sampling: Sampling) -> Indices:
    """Those whose weight is at least the share min_p of the largest."""
    if indices is None:
        least = top + sampling.temperature * math.log(sampling.min_p)
        indices = np.flatnonzero(logits >= least - 1e-6 * (abs(least) + 1))  # generous: the exact test comes after
    return indices[weights(logits[indices], top, sampling.temperature) >= sampling.min_p]
