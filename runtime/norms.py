"""Root-mean-square norms by a compiled kernel: one pass instead of six operators of torch, most of whose time for a few
rows goes into calling them.

Which modules it may stand in for is tried out, not read off a name: those with one vector of weights that give, for
random rows, what the kernel gives with that vector, or with one added to it (Gemma).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

rms_norm: Callable[..., None] | None
try:
    from ._native import rms_norm
except ImportError:  # not built
    rms_norm = None


class FastNorm:
    """Stands in for the forward of a norm over the last axis."""

    def __init__(self, module: nn.Module, gain: Tensor, epsilon: float) -> None:
        self.module, self._gain, self._epsilon = module, gain.numpy(), epsilon

    def forward(self, x: Tensor) -> Tensor:
        if x.is_contiguous():
            return self._of(x)
        if x.dim() == 4 and x.transpose(1, 2).is_contiguous():  # heads that were split off
            return self._of(x.transpose(1, 2)).transpose(1, 2)
        return self._of(x.contiguous())

    def _of(self, x: Tensor) -> Tensor:
        out = torch.empty_like(x)
        assert rms_norm is not None
        rms_norm(x.detach().numpy(), self._gain, self._epsilon, out.numpy())
        return out


@torch.no_grad()
def fast_norms(model: nn.Module) -> list[FastNorm]:
    """Stand-ins for the norms of a float32 model on a CPU."""
    found = [_stand_in(module) for module in model.modules()] if rms_norm is not None else []
    return [norm for norm in found if norm is not None]


def _stand_in(module: nn.Module) -> FastNorm | None:
    weights: list[Tensor] = list(module.parameters())
    epsilon: Any = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if len(weights) != 1 or weights[0].dim() != 1 or not isinstance(epsilon, float) or list(module.children()):
        return None
    weight = weights[0].detach()
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return None
    x = torch.randn(3, len(weight), generator=torch.Generator().manual_seed(0))
    for gain in (weight.clone(), 1 + weight):
        norm = FastNorm(module, gain, epsilon)
        if _alike(module(x), norm.forward(x)) and _alike(module(x * 1e-3), norm.forward(x * 1e-3)):
            return norm
    return None


def _alike(a: Any, b: Tensor) -> bool:
    return isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-7)
