from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from lmprog.runtime.choice import Choice
from lmprog.runtime.request import Request, Result
from lmprog.runtime.sampler import pick
from lmprog.runtime.samples import samples
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.uniforms import CodePoint, rescaled
from lmprog.testing import TableModel

TOKENS = ["a", "b"]


def probs(ids: tuple[int, ...]) -> list[float]:
    first = (0.3 + 0.5 * sum(ids)) / (1 + len(ids))
    return [first, 0.9 - first, 0.1]


def chances(length: int) -> dict[tuple[int, ...], float]:
    """Of every outcome: texts that ended (with a 2), and those that were cut."""
    found: dict[tuple[int, ...], float] = {}
    for ids in product(range(3), repeat=length):
        kept = ids[: ids.index(2) + 1] if 2 in ids else ids
        found[kept] = float(np.prod([probs(kept[:i])[t] for i, t in enumerate(kept)]))
    return found


def outcome(result: Result) -> tuple[int, ...]:
    return (*result.ids, 2) if result.finish == "stop" else tuple(result.ids)


def model_and_request(seed: int, length: int = 3) -> tuple[TableModel, Request]:
    model = TableModel(TOKENS, probs)
    assert model.bos is not None
    return model, Request([model.bos], length, sampling=Sampling(1.0, seed=seed))


def test_n_samples_hold_each_outcome_its_share_of_times() -> None:
    """To within one, as long as the bits of the first point last: what the method is for."""
    n, expected = 200, chances(3)
    model, request = model_and_request(0)
    counts = Counter(outcome(r) for r in model.engine.generate(samples(request, n)))

    assert pytest.approx(1) == sum(expected.values())
    for ids, p in expected.items():
        assert abs(counts[ids] - n * p) <= 1


@pytest.mark.parametrize("i", [0, 2])
def test_each_sample_by_itself_follows_the_distribution(i: int) -> None:
    n, expected = 3000, chances(3)
    model, _ = model_and_request(0)
    requests = [samples(model_and_request(seed)[1], 4)[i] for seed in range(n)]
    counts = Counter(outcome(r) for r in model.engine.generate(requests))
    chi2 = sum((counts[ids] - n * p) ** 2 / (n * p) for ids, p in expected.items())

    assert set(counts) <= set(expected)
    assert chi2 < len(expected) + 5 * np.sqrt(2 * len(expected))


@pytest.mark.parametrize("m", [1, 2, 3, 5, 7, 8])
def test_the_next_point_is_exactly_uniform(m: int) -> None:
    """With 8 cells instead of 2**53, by enumeration."""
    counts = Counter(rescaled(j, m, r, one=8) for j in range(m) for r in range(8))

    assert dict.fromkeys(range(8), m) == counts


def test_points_stay_uniform_when_their_bits_are_long_used_up() -> None:
    """200 tokens of 2.6 bits each; the last of them, over many seeds."""
    logits, n = np.log(np.arange(1.0, 9)), 3000
    last = np.zeros(8)
    for seed in range(n):
        points = CodePoint(seed, 1, 3)
        s = Sampling(1.0, seed=seed)
        for _ in range(60):
            token = pick(logits, 8, Choice(), s, points)
        last[token] += 1
    expected = n * np.arange(1, 9) / 36

    assert ((last - expected) ** 2 / expected).sum() < 8 + 5 * 4


def test_the_interval_of_a_token_in_a_long_row() -> None:
    """Rows in blocks: rescaling a point and scaling it back gives it again."""
    logits = (np.random.default_rng(0).normal(size=5000) * 2).astype(np.float32)
    shares = np.exp(logits.astype(np.float64))
    ends = shares.cumsum() / shares.sum()
    for seed in range(50):
        points = CodePoint(seed, 0, 1)
        before = points.random()
        token = pick(logits, 5000, Choice(), Sampling(1.0, seed=0), points)
        low, high = ends[token] - shares[token] / shares.sum(), ends[token]

        assert pytest.approx(before, abs=1e-6) == low + points.random() * (high - low)


def quarter(points: CodePoint) -> float:
    """Draw one of four, and say from which point."""
    x = points.random()
    points.took(int(x * 4) / 4, int(x * 4) / 4 + 0.25)
    return x


def test_a_draw_can_be_taken_back() -> None:
    points, again = CodePoint(5, 0, 2), CodePoint(5, 0, 2)
    for i in range(40):
        x = quarter(points)

        assert x == quarter(again)
        again.rewind(i)
        assert x == quarter(again)
