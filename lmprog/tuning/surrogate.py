"""A model of scores over choices: each slot has an effect of its own, pairs of slots have some, all together a little.

A Gaussian process whose covariance is a weighted sum of kernels: constant, main effects, all pairs, pairs of slots of
the same program (where there are several programs), and the whole choice, as in an ANOVA decomposition (Duvenaud,
Nickisch and Rasmussen 2011, "Additive Gaussian Processes"). Which weights is told by the data: predictions are
averaged over a few of them by their marginal likelihood. Next is the choice of the greatest expected improvement (Jones
et al. 1998).

Considered: the tree-structured Parzen estimator (see `tpe.py`), which knows nothing of a choice's neighbours beyond
counts of levels, and needs about twice as many evaluations on grids of this kind; see benchmarks/tuning.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .space import Grid

Floats = NDArray[np.float64]
# weights of the kernels: constant, main effects, all pairs, pairs within a program, the whole choice
WEIGHTS = (
    (1, 1.0, 0.0, 0.0, 0.05),
    (1, 0.8, 0.2, 0.0, 0.05),
    (1, 0.5, 0.5, 0.0, 0.05),
    (1, 0.2, 0.7, 0.0, 0.1),
    (1, 0.3, 0.3, 0.0, 0.4),
    (1, 0.5, 0.0, 0.5, 0.05),
    (1, 0.3, 0.1, 0.6, 0.05),
)
_erf = np.vectorize(math.erf, otypes=[np.float64])


class Surrogate:
    """sizes    candidates of each slot; groups    of each slot the program that it is of"""

    def __init__(self, sizes: Sequence[int], groups: Sequence[str]) -> None:
        self.sizes = sizes
        self.pairs = list(itertools.combinations(range(len(sizes)), 2))
        self.within = [(i, j) for i, j in self.pairs if groups[i] == groups[j]]
        grouped = 0 < len(self.within) < len(self.pairs)
        self.weights = [weights for weights in WEIGHTS if grouped or not weights[3]]

    def improvement(self, seen: Grid, scores: Floats, noise: Floats, pool: Grid) -> Floats:
        """The expected improvement over the best score: float64[pool], in standard deviations of the scores.

        seen     intp[n, slots], with float64[n] scores and the variances of their noise, in units of the scores
        """
        scale = float(scores.std()) or 1.0
        y = (scores - scores.mean()) / scale
        jitter = np.diag(noise / scale**2 + 0.01)
        own, cross = self._kernels(seen, seen), self._kernels(pool, seen)
        found = [self._one(weights, own, cross, y, jitter) for weights in self.weights]
        likely = np.array([likelihood for likelihood, _ in found])
        shares = np.exp(likely - likely.max())
        gains: Floats = shares / shares.sum() @ np.array([gain for _, gain in found])
        return gains

    def _one(
        self, weights: Sequence[float], own: Floats, cross: Floats, y: Floats, jitter: Floats
    ) -> tuple[float, Floats]:
        """The log marginal likelihood with the best amplitude, and the expected improvement, float64[pool]."""
        w = np.array(weights)
        lower = np.linalg.cholesky(np.tensordot(w, own, 1) + jitter)
        half = np.linalg.solve(lower, y)
        amplitude = max(float(half @ half) / len(y), 1e-6)
        likelihood = -0.5 * len(y) * math.log(amplitude) - float(np.log(np.diag(lower)).sum())
        between = np.linalg.solve(lower, np.tensordot(w, cross, 1).T)
        mean = between.T @ half
        spread = np.sqrt(np.maximum(amplitude * (w.sum() - (between**2).sum(axis=0)), 1e-9))
        z = (mean - y.max()) / spread
        gain: Floats = spread * (z * 0.5 * (1 + _erf(z / math.sqrt(2))) + np.exp(-z * z / 2) / math.sqrt(2 * math.pi))
        return likelihood, gain

    def _kernels(self, a: Grid, b: Grid) -> Floats:
        """float64[kernels, a, b], each with ones where a choice meets itself."""
        same = [a[:, i, None] == b[None, :, i] for i in range(len(self.sizes))]
        effects = [_centred(one, size) for one, size in zip(same, self.sizes, strict=True)]
        ones = np.ones((len(a), len(b)))
        pairs, within = [_mean([effects[i] * effects[j] for i, j in some], ones) for some in (self.pairs, self.within)]
        return np.stack([ones, _mean(effects, ones), pairs, within, np.all(same, axis=0).astype(np.float64)])


def _centred(same: NDArray[np.bool_], size: int) -> Any:
    """Covariance of effects that sum to 0 over the candidates of a slot: 1 for the same one."""
    return (same - 1 / size) * size / (size - 1) if size > 1 else np.zeros(same.shape)


def _mean(kernels: Sequence[Floats], ones: Floats) -> Floats:
    return sum(kernels, 0 * ones) / max(1, len(kernels))
