"""The attention of a packed step against the definition, one query at a time, in double precision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprog.runtime import views
from lmprog.runtime.attention import KVPool, Plan, paged_attention, planned
from lmprog.runtime.errors import ModelMismatch
from lmprog.runtime.runner import Batch, Span

LAYER: Any = SimpleNamespace(layer_idx=0)
SLOTS, WIDTH = 600, 8


def spans(rng: np.random.Generator, shared: int, sizes: list[tuple[int, int]]) -> list[Span]:
    """Segments of n tokens after `before` tokens of their own, after a prefix in the same slots."""
    order = rng.permutation(SLOTS) if rng.integers(2) else np.arange(SLOTS)
    head, used, row, out = order[:shared], shared, 0, []
    for n, before in sizes:
        own = order[used : used + before + n]
        out.append(Span(row, n, np.concatenate([head, own])))
        used, row = used + before + n, row + n
    return out


def batch(parts: list[Span]) -> Batch:
    positions = [np.arange(len(s.table) - s.n, len(s.table)) for s in parts]
    ids = np.concatenate(positions).astype(np.int32)
    return Batch(ids, ids, np.concatenate([s.table[-s.n :] for s in parts]), parts, np.zeros(0, np.int64), [])


def naive(
    q: Tensor, k: Tensor, v: Tensor, part: Span, i: int, window: int | None, cap: float | None, sinks: Tensor | None
) -> Tensor:
    """Attention of query i of a segment: q [Hq, D], k and v [slots, Hkv, ·] → [Hq, Dv]."""
    last = len(part.table) - part.n + i
    first = 0 if window is None else max(0, last - window + 1)
    slots = torch.from_numpy(part.table[first : last + 1])
    group = q.shape[0] // k.shape[1]
    out = []
    for h in range(q.shape[0]):
        scores = k[slots, h // group] @ q[h] * 0.3
        if cap is not None:
            scores = torch.tanh(scores / cap) * cap
        if sinks is not None:
            scores = torch.cat([scores, sinks[h : h + 1]])
        out.append(torch.softmax(scores, 0)[: len(slots)] @ v[slots, h // group])
    return torch.stack(out)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    shared=st.sampled_from([0, 1, 20, 60]),
    sizes=st.lists(
        st.tuples(st.sampled_from([1, 1, 2, 3, 7, 16, 17, 30, 70]), st.integers(0, 9)), min_size=1, max_size=6
    ),
    heads=st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3)]),
    window=st.sampled_from([None, 1, 5, 33, 1000]),
    cap=st.sampled_from([None, 2.0]),
    with_sinks=st.booleans(),
    invariant=st.booleans(),
    pieces=st.booleans(),
)
def test_every_query_sees_its_own_prefix(
    seed: int,
    shared: int,
    sizes: list[tuple[int, int]],
    heads: tuple[int, int],
    window: int | None,
    cap: float | None,
    with_sinks: bool,
    invariant: bool,
    pieces: bool,
) -> None:
    rng = np.random.default_rng(seed)
    parts = spans(rng, shared, sizes)
    step, (hq, hkv) = batch(parts), heads
    t = len(step.ids)
    q, k, v = (torch.from_numpy(rng.normal(size=(1, h, t, d))) for h, d in ((hq, WIDTH), (hkv, WIDTH), (hkv, 5)))
    sinks = torch.from_numpy(rng.normal(size=hq)) if with_sinks else None
    pool = KVPool(SLOTS)
    keys, values = pool.layer(0, k, v)
    keys.copy_(torch.from_numpy(rng.normal(size=keys.shape)))
    values.copy_(torch.from_numpy(rng.normal(size=values.shape)))

    with (
        pytest.MonkeyPatch.context() as patch,
        planned(Plan(step, pool, torch.float64, torch.device("cpu"), invariant)),
    ):
        patch.setattr(views, "MOST_PAIRS", 20 if pieces else 1 << 21)
        out, _ = paged_attention(LAYER, q, k, v, None, 0.3, window, softcap=cap, s_aux=sinks)

    assert out.shape == (1, t, hq, 5)
    for part in parts:
        for i in {0, part.n // 2, part.n - 1}:
            expected = naive(q[0, :, part.row + i], keys, values, part, i, window, cap, sinks)
            assert torch.allclose(expected, out[0, part.row + i], atol=1e-12)


def test_a_mask_of_the_models_own_is_refused() -> None:
    step = batch([Span(0, 1, np.array([0]))])
    x = torch.zeros(1, 1, 1, WIDTH)
    with planned(Plan(step, KVPool(4), torch.float32, torch.device("cpu"))):
        with pytest.raises(ModelMismatch, match="mask or bias of its own"):
            paged_attention(LAYER, x, x, x, torch.zeros(1))
        with pytest.raises(ModelMismatch, match="mask or bias of its own"):
            paged_attention(LAYER, x, x, x, None, position_bias=torch.zeros(1))


def test_unwritten_slots_are_never_read() -> None:
    """The pool is not cleared: what has not been written may be anything, NaN too."""
    pool = KVPool(40)
    x = torch.ones(1, 1, 4, WIDTH)
    for buffer in pool.layer(0, x, x):
        buffer.fill_(torch.nan)
    parts = [Span(0, 3, np.array([5, 6, 7])), Span(3, 1, np.array([9]))]
    with planned(Plan(batch(parts), pool, torch.float32, torch.device("cpu"))):
        out, _ = paged_attention(LAYER, x, x, x, None)

    assert bool(out.isfinite().all())
