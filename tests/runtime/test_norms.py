"""Norms by the compiled kernel."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lmprog.runtime.norms import FastNorm, fast_norms, rms_norm

from .toys import tiny

pytestmark = pytest.mark.skipif(rms_norm is None, reason="the kernel was not built")


@pytest.mark.parametrize("d", [1, 7, 32, 100, 640])
@pytest.mark.parametrize("shape", [(1,), (5,), (1, 3), (1, 2, 4)])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_same_as_torch(d: int, shape: tuple[int, ...], scale: float) -> None:
    torch.manual_seed(d)
    norm = nn.RMSNorm(d, eps=1e-6).requires_grad_(False)
    norm.weight.normal_()
    x = torch.randn(*shape, d) * scale

    torch.testing.assert_close(norm(x), FastNorm(norm, norm.weight, 1e-6).forward(x), rtol=1e-5, atol=1e-6)


def test_strides() -> None:
    norm = nn.RMSNorm(16, eps=1e-6).requires_grad_(False)
    fast = FastNorm(norm, norm.weight, 1e-6)
    heads = torch.randn(1, 5, 4, 16).transpose(1, 2)
    every_other = torch.randn(3, 32)[:, ::2]

    torch.testing.assert_close(norm(heads), fast.forward(heads))
    torch.testing.assert_close(norm(every_other), fast.forward(every_other))
    assert norm(heads).shape == fast.forward(heads).shape
    assert fast.forward(heads).transpose(1, 2).is_contiguous()


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("Llama", "LlamaRMSNorm"),
        ("Qwen3", "Qwen3RMSNorm"),
        ("Gemma3Text", "Gemma3RMSNorm"),
        ("Gemma2", "Gemma2RMSNorm"),
    ],
)
def test_norms_are_found(family: str, kind: str) -> None:
    model = tiny(family)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_()
    expected = [m for m in model.modules() if type(m).__name__ == kind]

    assert expected == [norm.module for norm in fast_norms(model)]
    assert len(expected) > 4


@pytest.mark.parametrize("family", ["GPT2", "GPTNeoX", "Cohere", "StableLm"])
def test_others_are_not(family: str) -> None:
    assert fast_norms(tiny(family)) == []
    assert fast_norms(tiny("Llama", "float64")) == []
