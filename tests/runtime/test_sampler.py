from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lmprog.runtime import exponentials as module
from lmprog.runtime.choice import Choice
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import SamplingError
from lmprog.runtime.exponentials import exponentials
from lmprog.runtime.filters import kept
from lmprog.runtime.request import Request
from lmprog.runtime.sampler import pick
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner
from lmprog.runtime.uniforms import generator

from .toys import TOY, Ids, toy_engine

WIDTH = 70
DRAWS = 4_000


def packed(ids: list[int], width: int = WIDTH) -> NDArray[np.int32]:
    bits = np.zeros(-(-width // 32) * 32, np.uint8)
    bits[ids] = 1
    return np.packbits(bits, bitorder="little").view(np.int32)


def reference(logits: NDArray[np.floating], s: Sampling) -> NDArray[np.float64]:
    """The distribution by sorting everything; filters in order, ties by id."""
    with np.errstate(over="ignore"):
        p = np.exp((logits.astype(np.float64) - logits.max()) / s.temperature)
    order = np.argsort(-p, kind="stable")
    if s.top_k:
        order = order[: s.top_k]
    if s.top_p < 1:
        before = np.concatenate([[0], np.cumsum(p[order])[:-1]]) / p[order].sum()
        order = order[before < s.top_p]
    order = order[p[order] >= s.min_p * p.max()]
    out = np.zeros(len(p))
    out[order] = p[order]
    return out / out.sum()


def frequencies(logits: NDArray[np.floating], choice: Choice, s: Sampling) -> NDArray[np.float64]:
    rng = generator(s)
    counts = Counter(pick(logits, WIDTH, choice, s, rng) for _ in range(DRAWS))
    return np.array([counts[i] for i in range(WIDTH)]) / DRAWS


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"temperature": 0.3},
        {"temperature": 2.0, "top_k": 5},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"top_k": 9, "top_p": 0.8, "min_p": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True])
def test_draws_follow_the_distribution(kind: dict[str, Any], masked: bool) -> None:
    s = Sampling(**{"temperature": 1.0, "seed": 5, **kind})
    logits = np.random.default_rng(0).normal(size=WIDTH) * 2
    allowed = list(range(1, WIDTH, 2)) if masked else list(range(WIDTH))
    held = np.where(np.isin(np.arange(WIDTH), allowed), logits, -np.inf)
    expected = reference(held, s)
    got = frequencies(logits, Choice(row=packed(allowed)) if masked else Choice(), s)

    assert np.abs(expected - got).max() < 5 * np.sqrt(0.25 / DRAWS)
    assert (got[expected == 0] == 0).all()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    n=st.integers(1, 600),
    k=st.integers(0, 20),
    p=st.floats(0.01, 1),
    m=st.floats(0, 0.99),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_filters_keep_what_sorting_would(seed: int, n: int, k: int, p: float, m: float, levels: int) -> None:
    logits = np.random.default_rng(seed).integers(0, levels, n).astype(np.float64) / levels * 9
    s = Sampling(temperature=1.0, top_k=k, top_p=p, min_p=m)
    expected, got = set(np.flatnonzero(reference(logits, s))), set(kept(logits, float(logits.max()), s))

    assert abs(len(expected) - len(got)) <= 1  # sums in another order may differ by one ulp
    assert got <= expected or expected <= got


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 30), ids=st.sets(st.integers(0, WIDTH - 1), min_size=1), draw=st.booleans())
def test_wide_and_narrow_masks_give_the_same_token(seed: int, ids: set[int], draw: bool) -> None:
    logits = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    columns = np.array(sorted(ids), np.int32)
    s = Sampling(temperature=1.0 if draw else 0.0, seed=seed)
    wide = pick(logits, WIDTH, Choice(row=packed(sorted(ids))), s, generator(s))
    narrow = pick(logits[columns], WIDTH, Choice(columns=columns), s, generator(s))
    full = pick(logits, WIDTH, Choice(columns=columns), s, generator(s))

    assert wide == narrow == full
    assert wide in ids


def test_greedy_takes_the_first_of_equals() -> None:
    assert pick(np.array([0.0, 1, 3, 3]), 4, Choice(), Sampling(), None) == 2
    assert pick(np.array([0.0, 1, 3, 3]), 4, Choice(row=packed([3], 4)), Sampling(), None) == 3


def test_the_coldest_temperature_is_greedy() -> None:
    s = Sampling(temperature=1e-300, seed=0)

    assert pick(np.array([0, 2, 1], np.float32), 3, Choice(), s, generator(s)) == 1


@pytest.mark.parametrize("top_k", [0, 7])
def test_long_rows_follow_the_distribution(top_k: int) -> None:
    """Long rows go block by block; most of the mass is in few tokens, and half of them are not allowed."""
    n = 5000
    rng = np.random.default_rng(1)
    logits = (rng.normal(size=n) * 3).astype(np.float32)
    allowed = np.sort(rng.permutation(n)[: n // 2]).tolist()
    held = np.where(np.isin(np.arange(n), allowed), logits, -np.inf)
    s = Sampling(temperature=1.0, top_k=top_k, seed=2)
    expected, draws = reference(held, s), generator(s)
    counts = Counter(pick(logits, n, Choice(row=packed(allowed, n)), s, draws) for _ in range(DRAWS))

    assert all(expected[token] > 0 for token in counts)
    for token in np.argsort(-expected)[:20]:
        assert abs(counts[int(token)] / DRAWS - expected[token]) <= 5 * np.sqrt(expected[token] / DRAWS)


def test_logits_that_allow_nothing() -> None:
    with pytest.raises(SamplingError, match="-inf"):
        pick(np.full(4, -np.inf), 4, Choice(), Sampling(), None)
    with pytest.raises(SamplingError, match="NaN"):
        pick(np.array([0, np.nan, 1]), 3, Choice(), Sampling(temperature=1.0), np.random.default_rng(0))


def test_sequences_follow_the_exact_distribution() -> None:
    """All three-token continuations, against enumeration of the table."""
    size, end = 3, 2

    def probs(prefix: tuple[int, ...]) -> list[float]:
        return [1 + len(prefix), 2 + prefix[-1], 1.5]

    def chance(ids: tuple[int, ...]) -> float:
        total = 1.0
        for i, token in enumerate(ids):
            p = probs((0, *ids[:i]))
            total *= p[token] / sum(p)
        return total

    def outcomes(prefix: tuple[int, ...]) -> list[tuple[int, ...]]:
        if len(prefix) == 3 or (prefix and prefix[-1] == end):
            return [prefix]
        return [o for t in range(size) for o in outcomes((*prefix, t))]

    n = 4000
    requests = [Request([0], 3, sampling=Sampling(temperature=1.0, seed=i)) for i in range(n)]
    with Engine(TableRunner.from_probs(probs, size), Ids(size, frozenset({end}))) as engine:
        results = engine.generate(requests)
    counts = Counter((*r.ids, end) if r.finish == "stop" else tuple(r.ids) for r in results)
    expected = {o: chance(o) for o in outcomes(())}

    assert pytest.approx(1) == sum(expected.values())
    assert set(counts) <= set(expected)
    chi2 = sum((counts[o] - n * p) ** 2 / (n * p) for o, p in expected.items())
    assert chi2 < len(expected) + 5 * np.sqrt(2 * len(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "kind", [{"top_k": 50}, {"top_p": 0.9}, {"top_p": 0.99, "top_k": 3000}, {"min_p": 0.05}], ids=str
)
def test_filters_of_full_rows_keep_what_sorting_would(kind: dict[str, Any], dtype: Any) -> None:
    for seed, spread in enumerate([1, 3, 10]):
        logits = (np.random.default_rng(seed).normal(size=50_000) * spread).astype(dtype)
        s = Sampling(temperature=0.8, **kind)
        expected, got = np.flatnonzero(reference(logits, s)), kept(logits, float(logits.max()), s)

        assert len(np.setxor1d(expected, got)) <= 1e-5 * len(expected)


SEEDED: list[dict[str, Any]] = [
    {"temperature": 1.3, "top_p": 0.9},
    {"repetition_penalty": 1.3, "frequency_penalty": 0.4, "min_p": 0.02},
    {"arithmetic": (1, 3), "presence_penalty": 0.3},
]


@pytest.mark.parametrize("kind", SEEDED, ids=str)
def test_a_seeded_request_does_not_depend_on_its_batch(kind: dict[str, Any]) -> None:
    """Whatever else runs, in whatever order, with and without the cache, sent back to wait or not."""
    request = Request([1, 2], 10, sampling=Sampling(**{"temperature": 1.0, "seed": 42, **kind}), ignore_eos=True)
    others = [Request([1, i % 9], 10, sampling=Sampling(temperature=1.0), ignore_eos=True) for i in range(20)]
    small = {"slots": 16, "max_batch_tokens": 16}
    seen, preempted = [], 0
    cases: list[tuple[list[Request], list[Request], dict[str, Any]]] = [
        ([], [], {}),
        (others, [], {}),
        ([], others, {"reuse": False}),
        (others[:9], others[9:], small),
        (others[9:], others[:3], {**small, "reuse": False}),
        ([request], [request], {}),
    ]
    for before, after, kinds in cases:
        with toy_engine(**kinds) as engine:
            seen.append(engine.generate([*before, request, *after])[len(before)].ids)
            preempted += engine.stats.preempted

    assert [seen[0]] * len(seen) == seen
    assert preempted


def test_unseeded_requests_differ() -> None:
    with Engine(TableRunner(lambda p: np.zeros(TOY.size), TOY.size), TOY) as engine:
        request = Request([1], 20, sampling=Sampling(temperature=1.0), ignore_eos=True)
        a, b = engine.generate([request, request])

    assert a.ids != b.ids


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("n", [1024, 5000, 5001, 5033])
@pytest.mark.parametrize("shift", [0, -30, 60, 500])
def test_exponentials_of_float32_rows(n: int, temperature: float, shift: float) -> None:
    """The kernel, and where its sums would not be safe numpy, against float64; with words of masks of every kind."""
    rng = np.random.default_rng(n)
    logits = (rng.normal(size=n) * 5 + shift).astype(np.float32)
    logits[rng.integers(0, n, 9)] = -np.inf
    mask = rng.integers(-(1 << 31), 1 << 31, -(-n // 32)).astype(np.int32)
    mask[::3], mask[1::5] = -1, 0
    allowed = np.unpackbits(mask.view(np.uint8), bitorder="little")[:n] == 1
    for row, may in ((None, np.ones(n, bool)), (mask, allowed)):
        values, sums = exponentials(logits, temperature, row)
        expected = np.where(may, np.exp((logits.astype(np.float64) - logits.max()) / temperature), 0)
        scale = values.sum(dtype=np.float64) / expected.sum()

        assert (values[expected == 0] == 0).all()
        assert pytest.approx(expected, rel=1e-5) == values / scale
        ends = np.arange(0, n, 512)
        assert pytest.approx(np.add.reduceat(expected, ends), rel=1e-5) == sums / scale


def test_the_kernel_says_the_same_as_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of a long row does not depend on whether the kernel was built, but for rounding."""
    if module.fused is None:
        pytest.skip("the kernel is not built")
    logits = (np.random.default_rng(0).normal(size=5000) * 3).astype(np.float32)
    s = Sampling(1.0, seed=1)
    draws = []
    for fused in (module.fused, None):
        monkeypatch.setattr(module, "fused", fused)
        rng = generator(s)
        draws.append([pick(logits, 5000, Choice(), s, rng) for _ in range(300)])

    assert draws[0] == draws[1]
