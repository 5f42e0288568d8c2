"""Greedy rows by bounds instead of full rows of logits: the same tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lmprog.grammars import compile
from lmprog.grammars.regex import regex
from lmprog.grammars.vocabulary import Vocabulary
from lmprog.runtime import choice, hf, int8
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.int8 import Int8Matrix
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.screen import Screen, screenable

from .toys import HF, prompts, tiny

VOCAB = Vocabulary([bytes([i]) if i < 256 else b"%d" % i for i in range(HF.size)], HF.eos)
LEVELS = range(int8.LEVEL + 1)
SHAPES = [(1, 2), (16, 2), (17, 34), (300, 64), (1000, 130)]


def linear(n: int, d: int, bias: bool = False, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    module = nn.Linear(d, n, bias=bias).requires_grad_(False)
    module.weight[::3] *= 10
    return module


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rows", [1, 2, 5, 16, 31])
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_products_are_those_of_rounded_weights(
    monkeypatch: pytest.MonkeyPatch, level: int, rows: int, n: int, d: int
) -> None:
    monkeypatch.setattr(int8, "LEVEL", level)
    module = linear(n, d, bias=True)
    x = torch.randn(rows, d, generator=torch.Generator().manual_seed(1))
    scales = module.weight.abs().amax(1, keepdim=True) / 127
    expected = nn.functional.linear(
        x.double(), (module.weight / scales).round().double() * scales, module.bias.double()
    )

    actual = Int8Matrix(module.weight, module.bias).products(x)

    torch.testing.assert_close(actual, expected.float(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    matrix = Int8Matrix(linear(100, 64).weight)
    x = torch.randn(23, 64)
    expected = torch.cat([matrix.products(row[None]) for row in x])
    monkeypatch.setattr(int8, "LEVEL", level)

    assert torch.equal(expected, matrix.products(x))


def test_threads_divide_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = Int8Matrix(linear(1000, 64).weight)
    x = torch.randn(3, 64)
    expected, (upper, lower) = matrix.products(x), matrix.bounds(x.numpy(), None)
    monkeypatch.setattr(int8, "ALONE", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    assert torch.equal(expected, matrix.products(x))
    assert np.array_equal(upper, matrix.bounds(x.numpy(), None)[0])
    assert np.array_equal(lower, matrix.bounds(x.numpy(), None)[1])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold(monkeypatch: pytest.MonkeyPatch, level: int, scale: float, seed: int) -> None:
    monkeypatch.setattr(int8, "LEVEL", level)
    module = linear(500, 68, bias=seed % 2 == 0, seed=seed)
    x = torch.randn(4, 68) * scale
    x[1, 3] = 100 * scale  # one number far above the others, which are rounded coarsely then
    x[2] = module.weight[7] * scale
    logits = module.double()(x.double()).numpy()

    upper, lower = Int8Matrix(module.float().weight, module.bias).bounds(x.numpy(), None)

    assert (logits <= upper).all()
    assert (logits.max(1) >= lower).all()
    assert (upper.max(1) - lower <= 0.25 * np.ptp(logits, axis=1)).all(), "they are of use"


def test_candidates_hold_the_best_that_is_allowed() -> None:
    module = linear(1000, 64)
    x = torch.randn(50, 64)
    rng = np.random.default_rng(0)
    allowed = rng.random((50, 900)) < 0.3
    masks = [None if i % 5 == 0 else row for i, row in enumerate(packed(allowed))]
    allowed[::5] = True
    logits = np.where(allowed, module(x).numpy()[:, :900], -np.inf)

    found = Screen(module).candidates(x, masks, 900)

    assert all(ids is not None and best in ids for ids, best in zip(found, logits.argmax(1), strict=True))
    assert all(row[ids].min() > -np.inf for ids, row in zip(found, logits, strict=True))
    assert np.median([len(ids) for ids in found if ids is not None]) <= 10


def packed(allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
    bits = np.pad(allowed, ((0, 0), (0, -allowed.shape[1] % 32)))
    return np.packbits(bits, axis=1, bitorder="little").view(np.int32)


def test_rows_that_bounds_do_not_help_with() -> None:
    module = linear(200, 64)
    x = torch.randn(4, 64)
    x[0, 5], x[1, 6] = torch.nan, torch.inf
    nothing = np.zeros(7, np.int32)

    found = Screen(module).candidates(x, [None, None, nothing, None], 200)

    assert [None, None, None] == found[:3]
    assert found[3] is not None
    assert Screen(linear(5000, 64)).candidates(torch.zeros(1, 64), [None], 5000) == [None], "all are alike"


def test_where_it_is_of_use() -> None:
    assert screenable(linear(10, 8), least=1)
    assert not screenable(linear(10, 8))
    assert not screenable(linear(10, 7), least=1)
    assert not screenable(linear(10, 8).to("meta"), least=1)


@pytest.mark.parametrize("family", ["Llama", "Gemma2", "Cohere", "GPTNeoX"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_same_tokens_as_from_full_rows(monkeypatch: pytest.MonkeyPatch, family: str, deterministic: bool) -> None:
    monkeypatch.setattr(choice, "NARROW", 4)  # so that there are masks
    requests = [Request(p, 24, ignore_eos=True) for p in prompts(3, 6, shared=10, longest=30, size=290)]
    words = compile(regex("[a-z ]+"), VOCAB)
    requests += [Request(p.ids, 12, words) for p in requests[:3]]
    requests += [
        Request([5, 6], 8, sampling=Sampling(1.0, seed=3)),
        Request([5, 6], 8),
        Request([5, 6], 8, logprobs=True),
    ]
    monkeypatch.setattr(hf, "screenable", lambda head: False)
    expected = generated(family, requests, deterministic)
    screened: list[int] = []
    candidates = Screen.candidates

    def counted(screen: Screen, hidden: torch.Tensor, masks: Any, size: int) -> Any:
        screened.append(len(hidden))
        return candidates(screen, hidden, masks, size)

    monkeypatch.setattr(hf, "screenable", lambda head: type(head) is nn.Linear and int8.LEVEL > 0)
    monkeypatch.setattr(Screen, "candidates", counted)

    assert expected == generated(family, requests, deterministic)
    assert sum(screened) > 100 or int8.LEVEL == 0


def generated(family: str, requests: list[Request], deterministic: bool) -> list[list[int]]:
    with Engine(HFRunner(tiny(family), deterministic=deterministic), VOCAB) as engine:
        return [result.ids for result in engine.generate(requests)]
