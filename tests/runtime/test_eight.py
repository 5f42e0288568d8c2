"""Weights in int8, arithmetic in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lmprog.runtime import load as loading
from lmprog.runtime.eight import round_to_int8
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.load_errors import InvalidOption

from .test_deterministic import SETTINGS, Bits, serve
from .tiny import llama_folder
from .toys import HF, differences, prompts, tiny

PROMPTS = prompts(5, 16, shared=40, longest=30, size=290)


def rounded(family: str) -> Any:
    model = tiny(family)
    round_to_int8(model)
    return model


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Gemma3Text", "Phi3"])
def test_logits_are_those_of_the_rounded_model(family: str) -> None:
    runner = Bits(tiny(family), rounded="int8")
    serve(runner, HF, PROMPTS)
    errors, effects = differences(runner.seen, rounded(family), tiny(family))

    assert max(errors) < 1e-3
    assert max(effects) > 5e-3, "rounding must be seen, or this test shows nothing"


def test_only_the_embedding_and_the_output_matrix_are_kept() -> None:
    model = tiny("Llama")
    HFRunner(model, rounded="int8")
    kept = [p for p in model.parameters() if p.device.type != "meta"]

    assert {HF.size * 64} == {p.numel() for p in kept if p.ndim > 1}


def test_rounding_twice_is_rounding_once() -> None:
    once = rounded("Llama")
    twice = rounded("Llama")
    round_to_int8(twice)

    for a, b in zip(once.parameters(), twice.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_deterministic_too() -> None:
    runner = Bits(tiny("Gemma3Text"), rounded="int8", deterministic=True)
    for settings in SETTINGS:
        serve(runner, HF, PROMPTS, **settings)
    serve(runner, HF, PROMPTS[:1])

    assert {1} == {len(bits) for bits in runner.seen.values()}


def test_what_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    folder = llama_folder(tmp_path)
    with pytest.raises(InvalidOption, match='"int8" with dtype "float32"'):
        loading.load(folder, weights="int8", dtype="float64")
    monkeypatch.setattr(loading, "_checked", lambda dtype, device: "cuda")
    with pytest.raises(InvalidOption, match="is for CPUs"):
        loading.load(folder, weights="int8")
    with pytest.raises(ValueError, match="float32 models"):
        HFRunner(tiny("Llama", "bfloat16"), rounded="int8")
