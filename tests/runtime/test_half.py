"""Weights in float16, arithmetic in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lmprog.runtime import half
from lmprog.runtime.default_model import default_model_folder
from lmprog.runtime.errors import ModelMismatch
from lmprog.runtime.half import round_weights
from lmprog.runtime.hf import HFRunner
from lmprog.runtime.hf_files import load_weights
from lmprog.runtime.load import load
from lmprog.runtime.load_errors import InvalidOption
from lmprog.runtime.request import Request

from .test_deterministic import SETTINGS, Bits, serve
from .tiny import llama_folder
from .toys import HF, differences, prompts, tiny

PROMPTS = prompts(5, 16, shared=40, longest=30, size=290)


def rounded(family: str) -> Any:
    model = tiny(family)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half().float()
    return model


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Gemma3Text", "Phi3"])
@pytest.mark.parametrize("fbgemm", [True, False])
def test_logits_are_those_of_the_rounded_model(family: str, fbgemm: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fbgemm:
        monkeypatch.setattr(half, "_fbgemm", lambda weight: None)
    runner = Bits(tiny(family), rounded="float16")
    serve(runner, HF, PROMPTS)
    errors, effects = differences(runner.seen, rounded(family), tiny(family))

    assert max(errors) < 1e-5
    assert max(effects) > 1e-4, "rounding must be seen, or this test shows nothing"


def test_only_half_of_the_memory_is_kept() -> None:
    model = tiny("Llama")
    HFRunner(model, rounded="float16")
    kept = [p for p in model.parameters() if p.device.type != "meta"]

    assert {torch.float16} == {p.dtype for p in kept if p.ndim > 1}
    assert {HF.size * 64} == {p.numel() for p in kept if p.ndim > 1}, "the embedding and the output matrix"


def test_deterministic_too() -> None:
    runner = Bits(tiny("Gemma3Text"), rounded="float16", deterministic=True)
    for settings in SETTINGS:
        serve(runner, HF, PROMPTS, **settings)
    serve(runner, HF, PROMPTS[:1])

    assert {1} == {len(bits) for bits in runner.seen.values()}


def test_what_does_not_fit_is_refused() -> None:
    model = tiny("Llama")
    model.lm_head.weight.data[3, 3] = 1e5
    with pytest.raises(ModelMismatch, match="65,504"):
        HFRunner(model, rounded="float16")
    with pytest.raises(ValueError, match="float32 models"):
        HFRunner(tiny("Llama", "bfloat16"), rounded="float16")


@pytest.mark.slow
def test_the_default_model() -> None:
    with load(slots=1024, weights="float16") as light:
        prompt = [2, *light.encode("The capital of France is")]
        ids = light.submit(Request(prompt, 8)).result(60).ids
    exact = load_weights(default_model_folder(), "float32", "cpu")
    round_weights(exact)

    expected = exact.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, len(prompt) :].tolist()
    assert expected == ids


def test_load_says_what_weights_may_be(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path)
    with load(folder, slots=256, weights="float16", deterministic=True) as model:
        assert load(folder, slots=256, weights="float16", deterministic=True) is model
        assert len(model.submit(Request([0], 4, ignore_eos=True)).result(60).ids) == 4
    for weights, dtype in (("int3", "float32"), ("float16", "bfloat16")):
        with pytest.raises(InvalidOption, match="weights must be None, or"):
            load(folder, weights=weights, dtype=dtype)
