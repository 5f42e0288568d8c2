"""What is around a library's attention kernels: which segments they get, passes over shared prefixes, sinks, checks.
The kernel itself is the plain definition here; the libraries' own run in test_gpu.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprog.runtime import hf, ragged, static_decode
from lmprog.runtime.attention import KVPool, Plan, paged_attention, planned
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.kernel_check import Tried, reference
from lmprog.runtime.kernels import Kind, Out, Ragged
from lmprog.runtime.request import Request
from lmprog.runtime.ways import Way, ways

from .test_attention import batch, naive, spans
from .toys import HF, prompts, tiny

LAYER: Any = SimpleNamespace(layer_idx=0)
CPU = torch.device("cpu")
SLOTS = 600


class Plain:
    """A library whose kernels are the definition. Counts its passes by kind."""

    name, graphs = "plain", True

    def __init__(self, wrong: float = 0.0) -> None:
        self.wrong = wrong
        self.passes: list[tuple[Kind, Ragged, int | None]] = []

    def fits(self, kind: Kind) -> bool:
        return True

    def begin(self, ragged: Ragged, kind: Kind, device: torch.device, most: int | None = None) -> PlainPass:
        return PlainPass(self, ragged, kind, most)


class PlainPass:
    def __init__(self, library: Plain, ragged: Ragged, kind: Kind, most: int | None) -> None:
        self.library, self.kind, self.most = library, kind, most
        self.segments = len(ragged.k)
        self.again(ragged)

    def again(self, ragged: Ragged) -> None:
        assert len(ragged.k) == self.segments
        assert self.most is None or len(ragged.slots) <= self.most
        self.ragged = ragged
        self.library.passes.append((self.kind, ragged, self.most))

    def __call__(self, q: Tensor, keys: Tensor, values: Tensor) -> Out:
        out, lse = reference(q, keys, values, self.ragged, self.kind)
        return out.to(q.dtype), lse + self.library.wrong


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    shared=st.sampled_from([0, 1, 20, 60]),
    sizes=st.lists(st.tuples(st.sampled_from([1, 1, 2, 7, 16, 30]), st.integers(0, 9)), min_size=1, max_size=6),
    heads=st.sampled_from([(1, 1), (4, 2), (3, 3)]),
    window=st.sampled_from([None, 1, 5, 33, 1000]),
    cap=st.sampled_from([None, 2.0]),
    with_sinks=st.booleans(),
)
def test_every_query_sees_its_own_prefix(
    seed: int,
    shared: int,
    sizes: list[tuple[int, int]],
    heads: tuple[int, int],
    window: int | None,
    cap: float | None,
    with_sinks: bool,
) -> None:
    rng = np.random.default_rng(seed)
    parts = spans(rng, shared, sizes)
    step, (hq, hkv) = batch(parts), heads
    step.spans.reverse()
    q, k, v = (torch.from_numpy(rng.normal(size=(1, h, len(step.ids), 8))) for h in (hq, hkv, hkv))
    sinks = torch.from_numpy(rng.normal(size=hq)) if with_sinks else None
    pool, library = KVPool(SLOTS), Plain()
    keys, values = pool.layer(0, k, v)
    for x in (keys, values):
        x.copy_(torch.from_numpy(rng.normal(size=x.shape)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "LEAST_SHARED", 16)
        with planned(Plan(step, pool, torch.float64, CPU, library=library)):
            out, _ = paged_attention(LAYER, q, k, v, None, 0.3, window, softcap=cap, s_aux=sinks)

    common = shared >= 16 and len(sizes) > 1 and window is None and all(n <= 16 for n, _ in sizes)
    assert 1 + common == len(library.passes)
    for part in parts:
        for i in {0, part.n // 2, part.n - 1}:
            expected = naive(q[0, :, part.row + i], keys, values, part, i, window, cap, sinks)
            assert torch.allclose(expected, out[0, part.row + i], atol=1e-12)


@pytest.mark.parametrize("graphs", [None, True])
@pytest.mark.parametrize("family", ["Llama", "Gemma3Text", "Gemma2", "GPT2"])
def test_results_are_those_of_our_own_code(family: str, graphs: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "LEAST_SHARED", 16)
    monkeypatch.setattr(static_decode, "LEAST_SHARED", 16)
    monkeypatch.setattr(static_decode, "LEAST_OWN", 8)
    model, library = tiny(family, "float64"), Plain()
    todo = [Request([*range(2, 32), *p], 5 + i) for i, p in enumerate(prompts(3, 10, size=290))]
    with Engine(HFRunner(model), HF) as engine:
        expected = [r.ids for r in engine.generate(todo)]
    with Engine(HFRunner(model, graphs=graphs, kernels=library), HF) as engine:
        assert expected == [r.ids for r in engine.generate(todo)]

    assert {True, False} == {kind.causal for kind, _, _ in library.passes}
    assert (graphs is True) == any(most is not None for _, _, most in library.passes)


def test_kernels_that_are_wrong_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """Also where only the sums of weights are, which little shows."""
    right, wrong = Plain(), Plain(wrong=0.1)
    kind = Kind(4, 2, 16, torch.float32, 0.25, None, None, True)

    assert Tried(right, CPU).fits(kind)
    assert not Tried(wrong, CPU).fits(kind)
    assert "attention by plain is off by 0.1" in caplog.text

    model = tiny("Llama")
    todo = [Request(p, 8) for p in prompts(3, 4, shared=40, longest=30, size=290)]
    with Engine(HFRunner(model), HF) as engine:
        expected = [r.ids for r in engine.generate(todo)]
    with Engine(HFRunner(model, kernels=wrong), HF) as engine:
        assert expected == [r.ids for r in engine.generate(todo)]


def test_kernels_that_fail_are_not_used(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Plain):
        def begin(self, *args: Any, **kwargs: Any) -> PlainPass:
            raise RuntimeError("no kernel image is available")

    runner = HFRunner(tiny("Llama"), kernels=Broken())
    with Engine(runner, HF) as engine:
        assert 4 == len(engine.generate([Request([3, 4], 4, ignore_eos=True)])[0].ids)
    assert "no kernel image" in caplog.text


def test_what_is_tried_on_a_gpu() -> None:
    """The fastest first; what was asked for never goes."""
    gpu = torch.device("cuda")

    def names(**asked: Any) -> list[str]:
        settings = {"on_device": None, "graphs": None, "kernels": None} | asked
        dtype = settings.pop("dtype", torch.bfloat16)
        return [str(way) for way in ways(gpu, dtype, settings.pop("deterministic", False), **settings)]

    assert [
        "draws on the device, graphs, torch kernels",
        "draws on the device, graphs",
        "draws on the device, torch kernels",
        "draws on the device",
        "torch kernels",
        "draws on the host",
    ] == names()
    assert ["draws on the device, graphs", "draws on the device", "draws on the host"] == names(dtype=torch.float32)
    assert ["draws on the device", "draws on the host"] == names(deterministic=True)
    assert ["draws on the device, graphs"] == names(graphs=True, kernels="none")
    assert ["draws on the host"] == names(on_device=False, graphs=False, kernels="none")
    assert ["draws on the host"] == [str(way) for way in ways(CPU, torch.bfloat16, False, None, None, None)]


def test_a_model_goes_the_first_way_that_is_right(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Zero(Plain):
        def begin(self, *args: Any, **kwargs: Any) -> Any:
            return lambda q, keys, values: (torch.zeros_like(q), q.new_zeros(q.shape[:2]))

    options = [Way(True, True, Zero()), Way(True, False, Zero()), Way(True, False, Plain()), Way(False, False, None)]
    monkeypatch.setattr(hf, "ways", lambda *_: options)
    runner = HFRunner(tiny("Llama"))

    assert (True, None) == (runner.on_device, runner._static)
    assert options[2].library is runner._library
    assert 2 == caplog.text.count("trying instead")


def test_kernels_exclude_determinism() -> None:
    with pytest.raises(ValueError, match="deterministic"):
        HFRunner(tiny("Llama"), kernels=Plain(), deterministic=True)
