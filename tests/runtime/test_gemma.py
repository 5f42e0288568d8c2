"""The default model: Gemma 3 270M in float32, 262,144 tokens, sliding windows of 512."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lmprog.grammars import compile, regex
from lmprog.runtime.engine import Engine
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.load import load
from lmprog.runtime.model import Model
from lmprog.runtime.request import Request

pytestmark = pytest.mark.slow

HEAD = "Notes on European cities, their rivers and their food. "
TEXTS = [HEAD + "Paris lies on", HEAD + "Rome", HEAD + "The Danube flows", HEAD + "2 + 2 =", "Once", " a"]
TOKENS = 10


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load(slots=4096) as model:
        yield model


@pytest.fixture(scope="module")
def prompts(model: Model) -> list[list[int]]:
    return [[model.bos or 0, *model.encode(text)] for text in TEXTS]


@pytest.fixture(scope="module")
def runner(model: Model) -> HFRunner:
    assert isinstance(model.engine.runner, HFRunner)
    return model.engine.runner


@pytest.fixture(scope="module")
def expected(runner: HFRunner, prompts: list[list[int]]) -> list[list[int]]:
    return [stock(runner.model, p) for p in prompts]


def stock(model: Any, prompt: list[int], n: int = TOKENS) -> list[int]:
    out = model.generate(torch.tensor([prompt]), max_new_tokens=n, do_sample=False)
    ids: list[int] = out[0, len(prompt) :].tolist()
    return ids[:-1] if ids[-1:] == [1] else ids


def assert_same(model: Any, prompt: list[int], expected: list[int], actual: list[int]) -> None:
    """Token for token, or the two best logits are closer than float noise."""
    if expected != actual:
        at = next(i for i in range(TOKENS) if expected[i : i + 1] != actual[i : i + 1])
        with torch.inference_mode():
            best, second = model(torch.tensor([prompt + expected[:at]])).logits[0, -1].topk(2).values.tolist()

        assert best - second < 1e-3, f"{expected} is not {actual}"


@pytest.mark.parametrize("settings", [{}, {"slots": 48, "max_batch_tokens": 9}, {"reuse": False}], ids=str)
def test_greedy_equals_generate(
    settings: dict[str, Any], model: Model, runner: HFRunner, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    together = [p for p in prompts for _ in range(2)]
    with Engine(runner, model.vocab, **settings) as engine:
        results = engine.generate([Request(p, TOKENS) for p in together])
        alone = [engine.generate([Request(p, TOKENS)])[0] for p in prompts[:2]]

    for prompt, want, result in zip(together, [e for e in expected for _ in range(2)], results, strict=True):
        assert_same(runner.model, prompt, want, result.ids)
    for prompt, want, result in zip(prompts, expected, alone, strict=False):
        assert_same(runner.model, prompt, want, result.ids)


def test_beyond_the_sliding_window(model: Model, runner: HFRunner) -> None:
    """Prompts of over 512 tokens with one beginning: the window ends inside the part that is read once for all."""
    head = [model.bos or 0, *model.encode("The quick brown fox jumps over the lazy dog. " * 56)]
    prompts = [[*head, *model.encode(t)] for t in ("A cat and a dog", "Then the quick brown fox,")]
    assert len(head) > 512
    with Engine(runner, model.vocab, slots=1024) as engine:
        results = engine.generate([Request(p, 5) for p in prompts])

    for prompt, result in zip(prompts, results, strict=True):
        assert_same(runner.model, prompt, stock(runner.model, prompt, 5), result.ids)


def test_narrow_and_wide_rows_agree(model: Model, runner: HFRunner, prompts: list[list[int]]) -> None:
    constraint = compile(regex(" ?(the |an? )?[a-z]{2,9}(, [0-9]{1,3})?"), model.vocab)
    with Engine(runner, model.vocab, slots=1024) as engine:
        narrow = engine.generate([Request(p, 8, constraint) for p in prompts])
        wide = engine.generate([Request(p, 8, constraint, logprobs=True) for p in prompts])

    assert [r.ids for r in wide] == [r.ids for r in narrow]
