"""Decode steps of fixed shapes, without the capture: the same numbers as steps of any shape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprog.runtime import static_decode
from lmprog.runtime.attention import KVPool, paged_attention, planned
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.request import Request, Result
from lmprog.runtime.runner import Batch, Span
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.static_decode import StaticDecode, StaticPlan, decodes

from .test_attention import naive
from .toys import HF, prompts, tiny

LAYER: Any = SimpleNamespace(layer_idx=0)
CPU = torch.device("cpu")
SLOTS = 400


@pytest.fixture(autouse=True)
def small_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_decode, "LEAST_OWN", 8)
    monkeypatch.setattr(static_decode, "LEAST_SHARED", 16)


def batch(rng: np.random.Generator, shared: int, own: list[int]) -> Batch:
    """One token each after `shared` slots in common and some of its own, the rows in any order."""
    free = rng.permutation(SLOTS)
    ends = shared + np.cumsum(own)
    tables = [np.concatenate([free[:shared], free[end - n : end]]) for n, end in zip(own, ends, strict=True)]
    spans = [Span(row, 1, table) for row, table in enumerate(tables)]
    positions = np.array([len(t) - 1 for t in tables], np.int32)
    order = rng.permutation(len(own))
    last = np.array([t[-1] for t in tables])
    return Batch(positions, positions, last, [spans[i] for i in order], np.zeros(0, np.int64), [])


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    shared=st.sampled_from([0, 3, 16, 40]),
    steps=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=6), min_size=1, max_size=3),
    heads=st.sampled_from([(1, 1), (4, 2)]),
    window=st.sampled_from([None, 1, 5, 18, 1000]),
    cap=st.sampled_from([None, 2.0]),
    with_sinks=st.booleans(),
)
def test_every_decode_sees_its_own_prefix(
    seed: int,
    shared: int,
    steps: list[list[int]],
    heads: tuple[int, int],
    window: int | None,
    cap: float | None,
    with_sinks: bool,
) -> None:
    """Steps one after the other, in the same buffers when they have the same shape; what was not written is NaN."""
    rng, (hq, hkv) = np.random.default_rng(seed), heads
    pool = KVPool(SLOTS)
    plans: dict[Any, StaticPlan] = {}
    sinks = torch.from_numpy(rng.normal(size=hq)) if with_sinks else None
    for own in steps:
        step = decodes(batch(rng, shared, own))
        assert step is not None
        b = step.shape.rows
        q, k, v = (torch.from_numpy(rng.normal(size=(1, h, b, d))) for h, d in ((hq, 8), (hkv, 8), (hkv, 5)))
        for buffer in pool.layer(0, k, v):
            buffer.fill_(torch.nan)
            written = np.concatenate([s.table for s in step.spans])
            buffer[written] = torch.from_numpy(rng.normal(size=(len(written), *buffer.shape[1:])))
        plan = plans.setdefault(step.shape, StaticPlan(step.shape, pool, torch.float64, CPU))
        plan.clear()
        plan.fill(step)
        with planned(plan):
            out, _ = paged_attention(LAYER, q, k, v, None, 0.3, window, softcap=cap, s_aux=sinks)
        keys, values = pool.layer(0, k, v)
        for span in step.spans:
            expected = naive(q[0, :, span.row], keys, values, span, 0, window, cap, sinks)
            assert torch.allclose(expected, out[0, span.row], atol=1e-12)


FAMILIES = ["Llama", "Gemma3Text", "Gemma2", "GptOss", "GPT2", "OPT", "Mixtral"]
PROMPTS = [*prompts(3, 14, shared=30, longest=40, size=290)]


def requests() -> list[Request]:
    return [Request(p, 5 + i, sampling=Sampling(i % 2, seed=i)) for i, p in enumerate(PROMPTS)]


def static(runner: HFRunner) -> StaticDecode:
    assert runner._static is not None
    return runner._static


@pytest.mark.parametrize("family", FAMILIES)
def test_results_are_those_of_steps_of_any_shape(family: str) -> None:
    model = tiny(family, "float32" if family in ("GptOss", "Mixtral") else "float64")
    with Engine(HFRunner(model), HF) as engine:
        expected = [r.ids for r in engine.generate(requests())]
    runner = HFRunner(model, graphs=True)
    for running in (64, 5):
        before = static(runner).replays
        with Engine(runner, HF, max_running=running, max_batch_tokens=60) as engine:
            results: list[Result] = engine.generate(requests())

        assert expected == [r.ids for r in results]
        assert static(runner).replays > before + 10
        assert not static(runner).off


def test_only_decodes_have_fixed_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    many = decodes(batch(rng, 20, [1, 9, 4]))
    alone = decodes(batch(rng, 20, [3]))
    longer = batch(rng, 0, [2])
    longer.spans[0] = Span(0, 2, longer.spans[0].table)

    assert many is not None
    assert alone is not None
    assert (4, 16, 32) == many.shape
    assert (1, 32, 0) == alone.shape
    assert decodes(Batch(np.zeros(2, np.int32), *_rest(longer))) is None
    monkeypatch.setattr(static_decode, "MOST_KEYS", 63)
    assert decodes(batch(rng, 20, [1, 9, 4])) is None


def _rest(b: Batch) -> tuple[Any, ...]:
    return b.positions, b.slots, b.spans, b.rows, b.columns


def test_a_model_that_cannot_be_captured_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny("Llama")
    with Engine(HFRunner(model), HF) as engine:
        expected = [r.ids for r in engine.generate(requests())]
    runner = HFRunner(model, graphs=True)
    with Engine(runner, HF) as engine:
        static(runner)._captured = lambda run: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        static(runner)._device = torch.device("cuda")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(static_decode, "StaticPlan", lambda *args: StaticPlan(args[0], args[1], args[2], CPU))
            assert expected == [r.ids for r in engine.generate(requests())]

    assert static(runner).off
    assert "without CUDA graphs" in caplog.text


def test_fixed_shapes_exclude_determinism() -> None:
    with pytest.raises(ValueError, match="deterministic"):
        HFRunner(tiny("Llama"), graphs=True, deterministic=True)
