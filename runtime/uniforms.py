"""The random numbers of a request, one for each token drawn, and the code points of arithmetic sampling."""

from __future__ import annotations

import math

import numpy as np

from .sampling import Sampling

BITS = 53  # of a float64
ONE = 1 << BITS


class CodePoint:
    """Arithmetic sampling (Vilnis et al. 2023, "Arithmetic Sampling: Parallel Diverse Decoding for Large Language
    Models"): sample i of n starts from the point (u + i/n) mod 1, with u drawn from the seed that the n share. The
    token whose interval of the distribution function holds the point is taken, and the interval becomes the whole.

    A point is one of 2**53 cells, k. Within its token's m cells it is the j-th, and all j are equally likely. It then
    stands for 1/m of the line, too coarse once some 50 bits are used up; so every step splits that part anew by the
    request's own generator: the next k is floor((j 2**53 + r) / m), r uniform below 2**53. Of the m 2**53 pairs
    (j, r) each k has exactly m: k is uniform whatever came before, and each sample's own distribution is that of
    independent draws, however long it gets. Nearby points stay nearby, to within 1/m. Integers, so nothing is rounded.
    """

    def __init__(self, seed: int, i: int, n: int) -> None:
        shift = int(_philox(np.random.SeedSequence(seed)).random() * ONE)
        self._rng = _philox(np.random.SeedSequence(seed, spawn_key=(i,)))
        self._k = (shift + i * ONE // n) % ONE
        self._drawn = 0
        self._before = (self._k, 0)
        self._again: list[int] = []  # refreshing bits that are to be used once more

    def random(self) -> float:
        return self._k / ONE

    def took(self, low: float, high: float) -> None:
        """The token with the interval [low, high) was taken: its cells are those k with low <= k / 2**53 < high."""
        first, end = math.ceil(low * ONE), math.ceil(high * ONE)
        m = max(1, end - first)
        j = min(max(self._k - first, 0), m - 1)
        r = self._again.pop() if self._again else int(self._rng.random() * ONE)
        self._before = (self._k, r)
        self._k = rescaled(j, m, r)
        self._drawn += 1

    def rewind(self, drawn: int) -> None:
        """Back to when that many tokens were drawn: now, or one draw ago."""
        if drawn == self._drawn - 1:
            self._k, r = self._before
            self._again.append(r)
            self._drawn = drawn
        assert drawn == self._drawn, "only the last draw can be taken back"


def rescaled(j: int, m: int, r: int, one: int = ONE) -> int:
    """The j-th of m cells as the whole line, which of its cells: r, below `one`, says where inside of the j-th."""
    return (j * one + r) // m


Uniforms = np.random.Generator | CodePoint


def generator(sampling: Sampling) -> Uniforms | None:
    """The random numbers of a request; None when it needs none."""
    if sampling.greedy:
        return None
    if sampling.arithmetic is not None:
        assert sampling.seed is not None
        return CodePoint(sampling.seed, *sampling.arithmetic)
    return _philox(sampling.seed)


def rewound(uniforms: Uniforms | None, sampling: Sampling, drawn: int) -> Uniforms | None:
    """As they were when `drawn` tokens had been drawn, which is now or one draw ago."""
    if isinstance(uniforms, CodePoint):
        uniforms.rewind(drawn)
        return uniforms
    fresh = generator(sampling)
    if isinstance(fresh, np.random.Generator):
        fresh.random(drawn)
    return fresh


def _philox(seed: int | np.random.SeedSequence | None) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))
