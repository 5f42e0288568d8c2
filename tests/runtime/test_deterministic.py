"""Logits that are the same in every bit, whatever else the engine does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lmprog.grammars import compile
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import ModelMismatch
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.hf_files import load_weights
from lmprog.runtime.invariant import Elementwise
from lmprog.runtime.packed import Product
from lmprog.runtime.request import Request
from lmprog.runtime.runner import Batch, Span

from .toys import HF, SUPPORTED, Ids, prompts, tiny

EXPERTS = ("GptOss", "Mixtral")
PROMPTS = prompts(3, 64, shared=100, longest=40, size=290)
TOKENS = 6
SETTINGS: list[dict[str, Any]] = [
    {},
    {"reuse": False},
    {"max_batch_tokens": 5},
    {"max_batch_tokens": 64, "slots": 400, "max_running": 7},
]


class Bits(HFRunner):
    """Remembers the logits of every row, by the tokens before it; they may never differ."""

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        self.ids = np.zeros(1 << 16, np.int32)
        self.seen: dict[tuple[int, ...], set[bytes]] = {}

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        rows = super().forward(batch)
        if hasattr(self, "seen"):
            self.ids[batch.slots] = batch.ids
            for row, values in zip(batch.rows, rows, strict=True):
                span: Span = next(s for s in batch.spans if s.row <= row < s.row + s.n)
                table = span.table[: len(span.table) - span.n + int(row) - span.row + 1]
                self.seen.setdefault(tuple(self.ids[table].tolist()), set()).add(values.tobytes())
        return rows


def serve(runner: HFRunner, vocab: Any, todo: list[list[int]], **settings: Any) -> list[list[int]]:
    with Engine(runner, vocab, **settings) as engine:
        return [r.ids for r in engine.generate([Request(p, TOKENS, ignore_eos=True) for p in todo])]


@pytest.mark.parametrize("family", [f for f in SUPPORTED if f not in EXPERTS])
def test_batch_chunks_order_and_cache_change_no_bit(family: str) -> None:
    runner = Bits(tiny(family), deterministic=True)
    todo = PROMPTS if family in ("Llama", "Gemma3Text") else PROMPTS[:6]
    expected = serve(runner, HF, todo)

    for settings in SETTINGS[1:]:
        assert expected == serve(runner, HF, todo, **settings)
    assert expected[::-1] == serve(runner, HF, todo[::-1])
    assert expected[:3] == [serve(runner, HF, [p])[0] for p in todo[:3]]
    assert {1} == {len(bits) for bits in runner.seen.values()}


def test_without_it_bits_do_change() -> None:
    """Or else the test above shows nothing."""
    runner = Bits(tiny("Gemma3Text"))
    for settings in SETTINGS:
        serve(runner, HF, PROMPTS, **settings)
    serve(runner, HF, PROMPTS[:1])

    assert max(len(bits) for bits in runner.seen.values()) > 1


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("packed", [False, None])
def test_other_types_and_layers_that_are_not_packed(dtype: str, packed: bool | None) -> None:
    runner = Bits(tiny("Gemma2", dtype), deterministic=True, packed=packed)

    for settings in SETTINGS:
        serve(runner, HF, PROMPTS[:16], **settings)
    serve(runner, HF, PROMPTS[:1])
    assert {1} == {len(bits) for bits in runner.seen.values()}


def test_narrow_rows_too() -> None:
    vocab = Vocabulary([bytes([i]) if i < 256 else None for i in range(300)], eos={299})
    constraint = compile(regex("[a-f]{3}-(x|y|z)[0-9]*"), vocab)
    runner = Bits(tiny("Qwen2"), deterministic=True)
    todo = [Request(p, 8, constraint) for p in PROMPTS]
    with Engine(runner, vocab) as engine:
        together = [r.ids for r in engine.generate(todo)]
        alone = [engine.generate([r])[0].ids for r in todo[:10]]

        assert engine.stats.narrow > 0
    assert alone == together[:10]
    assert {1} == {len(bits) for bits in runner.seen.values()}


@pytest.mark.parametrize("family", EXPERTS)
def test_mixtures_of_experts_are_refused(family: str) -> None:
    with pytest.raises(ModelMismatch, match=r"different logits.*deterministic=True"):
        HFRunner(tiny(family), deterministic=True)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("width", [33, 96, 2048])
@pytest.mark.parametrize("kind", [nn.SiLU(), nn.GELU(), nn.GELU("tanh")], ids=str)
def test_activations_row_by_row(width: int, kind: nn.Module, threads: int) -> None:
    x = torch.randn(1, 400, width, generator=torch.Generator().manual_seed(0))
    layer = Elementwise(kind)
    together = layer.forward(x)

    assert torch.equal(together, torch.cat([layer.forward(x[:, i : i + 1]) for i in range(400)], 1))
    assert torch.allclose(together, kind(x), atol=1e-6)


@pytest.mark.parametrize(("width", "columns"), [(33, 77), (640, 1024), (2048, 640), (6912, 1152)])
def test_packed_products_row_by_row(width: int, columns: int, threads: int) -> None:
    random = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 64, width, generator=random), torch.randn(columns, width, generator=random)
    product = Product(weight, None, invariant=True)
    alone = torch.cat([product(x[:, i : i + 1]) for i in range(64)], 1)

    for rows in (1, 2, 3, 8, 17, 64):
        assert torch.equal(alone[:, :rows], product(x[:, :rows]))


@pytest.mark.slow
def test_the_default_model() -> None:
    runner = Bits(load_weights(default_model_folder(), "float32", "cpu"), deterministic=True, verify=False)
    vocab = Ids(runner.width, frozenset({1}))
    todo = prompts(8, 6, shared=60, longest=20, size=50_000)
    expected = serve(runner, vocab, todo, slots=2048)

    for settings in ({"reuse": False}, {"max_batch_tokens": 11}):
        assert expected == serve(runner, vocab, todo, slots=2048, **settings)
    assert expected[:2] == [serve(runner, vocab, [p], slots=2048)[0] for p in todo[:2]]
    assert {1} == {len(bits) for bits in runner.seen.values()}
