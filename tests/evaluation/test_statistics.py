"""Intervals and tests: values from the papers, exact enumeration, and coverage."""

from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest

from lmprog.evaluation import statistics
from lmprog.evaluation.statistics import (
    Interval,
    bootstrap,
    mcnemar,
    mean_interval,
    newcombe,
    paired_interval,
    permutation,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson(successes: int, n: int, expected: tuple[float, float]) -> None:
    assert expected == tuple(round(end, 4) for end in wilson(successes, n))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_wilson_covers(share: float) -> None:
    """Exactly, by enumeration: 95 % on average over shares, never far below."""
    n = 30
    weights = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]

    assert sum(w for k, w in enumerate(weights) if wilson(k, n).low <= share <= wilson(k, n).high) > 0.92


def test_newcombe_of_the_paper() -> None:
    assert (0.0569, 0.3404) == tuple(round(end, 4) for end in newcombe(36, 12, 2, 0))
    assert newcombe(5, 0, 0, 5).low < 0 < newcombe(5, 0, 0, 5).high  # the bootstrap would say [0, 0]


def test_newcombe_covers() -> None:
    """Over all tables of 12 pairs, for several truths."""
    n = 12
    cells = range(n + 1)
    tables = [(a, b, c, n - a - b - c) for a in cells for b in cells for c in cells if a + b + c <= n]
    intervals = {table: newcombe(*table) for table in tables}
    for truth in [(0.4, 0.2, 0.1, 0.3), (0.7, 0.05, 0.05, 0.2), (0.1, 0.5, 0.2, 0.2)]:
        difference, covered = truth[1] - truth[2], 0.0
        for counts, interval in intervals.items():
            ways = math.factorial(n) / math.prod(math.factorial(k) for k in counts)
            weight = ways * math.prod(p**k for p, k in zip(truth, counts, strict=True))
            covered += weight * (interval.low <= difference <= interval.high)

        assert covered > 0.93, truth


@pytest.mark.parametrize("skewed", [False, True])
def test_the_bootstrap_covers(monkeypatch: pytest.MonkeyPatch, skewed: bool) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 999)
    rng, covered, trials = np.random.default_rng(3), 0, 400
    truth = 1 / 6 if skewed else 0.5
    for trial in range(trials):
        low, high = bootstrap(rng.beta(1, 5, 40) if skewed else rng.beta(2, 2, 40), seed=trial)
        covered += low <= truth <= high

    assert 0.92 <= covered / trials <= 0.98


def test_the_bootstrap_of_symmetric_values_is_about_the_normal_one() -> None:
    x = np.random.default_rng(1).normal(size=2000)
    low, high = bootstrap(x)
    reach = 1.96 * x.std(ddof=1) / math.sqrt(len(x))

    assert abs(low - (x.mean() - reach)) < 0.05 * reach
    assert abs(high - (x.mean() + reach)) < 0.05 * reach
    assert bootstrap(x) == bootstrap(x)  # seeded
    assert "normal" == bootstrap(np.tile(x, 6)).kind


def test_kinds() -> None:
    assert "Wilson" == mean_interval([0, 1, 1]).kind
    assert "BCa bootstrap" == mean_interval([0, 0.5, 1]).kind
    assert ((0.5, 0.5), "no spread") == (mean_interval([0.5, 0.5]), mean_interval([0.5, 0.5]).kind)
    assert "Newcombe" == paired_interval(np.array([0.0, 1]), np.array([1.0, 1])).kind
    assert "BCa bootstrap" == paired_interval(np.array([0.1, 1, 0.3]), np.array([0.2, 0.5, 0.3])).kind
    copy = pickle.loads(pickle.dumps(Interval(0.1, 0.2, "Wilson")))
    assert ((0.1, 0.2), "Wilson", "[0.100, 0.200] (Wilson)") == (copy, copy.kind, repr(copy))


def test_mcnemar_is_a_sign_test() -> None:
    assert [1.0, 1.0, 1.0] == [mcnemar(0, 0), mcnemar(1, 1), mcnemar(1, 0)]
    assert pytest.approx(2 * (1 + 10) / 2**10) == mcnemar(9, 1) == mcnemar(1, 9)
    signs = itertools.product([1, -1], repeat=8)
    assert pytest.approx(sum(abs(sum(s)) >= 4 for s in signs) / 2**8) == mcnemar(6, 2)


def test_permutation() -> None:
    d = np.array([0.3, 0.1, 0.0, -0.2, 0.4, 0.15])
    signed = [abs(float(np.dot(s, d))) for s in itertools.product([1, -1], repeat=6)]
    assert pytest.approx(sum(x >= abs(d.sum()) - 1e-12 for x in signed) / 2**6) == permutation(d)
    assert 1.0 == permutation(np.zeros(5))
    assert pytest.approx(mcnemar(9, 3)) == permutation(np.array([1.0] * 9 + [-1.0] * 3))


def test_drawn_permutations_are_near_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.random.default_rng(5).normal(0.4, 1, 12)
    exact = permutation(d)
    monkeypatch.setattr(statistics, "EXACT", 5)

    assert abs(permutation(d) - exact) < 0.02
    assert permutation(d) == permutation(d)


def test_p_values_are_uniform_without_a_difference() -> None:
    rng = np.random.default_rng(7)
    values = [permutation(rng.normal(size=10)) for _ in range(400)]

    assert 0.02 <= np.mean([p <= 0.05 for p in values]) <= 0.08
