"""Layers whose result for a row of tokens does not depend, in any bit, on the rows beside it.

A sum of floats depends on its order, and libraries choose the order by the shape of the whole product, so that a
request alone and in company differ in the last bits, and now and then in a token. What depends on the shape was
measured (torch 2.13, AVX2 and AVX-512, 1 to 3 threads), and what takes its place here:

    linear layers, MKL        rows alone, in pairs, or not a multiple of 4   oneDNN-packed weights: no dependence from
                                                                             two rows on (see packed.Product); else
                                                                             tiles of a fixed number of rows
    GELU, SiLU                the elements that fill no vector register      pieces that all threads cut alike
    attention                 the number of keys, what is shared             blocks of 64 keys counted from position 0,
                                                                             summed up one after the other
    norms, rotary embeddings, softmax, exp, tanh                             no dependence

Blocks that a query does not see add zeros, which changes nothing, so queries may be attended to in any company. None
of this is promised by the libraries: `HFRunner(deterministic=True)` tries it on the model at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2CLS
from transformers.pytorch_utils import Conv1D

from .views import BLOCK, Short

CPU_TILE, GPU_TILE = 8, 64  # rows
LANES = 32  # elements after which a vectorised loop begins anew, at most
PIECE = 1 << 14  # elements that torch does not divide among threads (GELU is divided from there on)
_ACTIVATIONS: Any = tuple({c[0] if isinstance(c, tuple) else c for c in ACT2CLS.values()})


def tiled(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of rows [R, D] → [R, N], always called with the same number of rows."""
    tile = CPU_TILE if x.device.type == "cpu" else GPU_TILE
    rows = len(x)
    x = F.pad(x, (0, 0, 0, -rows % tile))
    return torch.cat([function(part) for part in torch.split(x, tile)])[:rows] if rows else function(x)


class Tiled:
    """Stands in for the forward of a linear layer."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self._stock = module, module.forward

    def forward(self, x: Tensor) -> Tensor:
        return tiled(self._stock, x.flatten(0, -2)).view(*x.shape[:-1], -1)


class Elementwise:
    """Stands in for the forward of an activation."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self._stock = module, module.forward

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        rows = F.pad(x.flatten(0, -2), (0, -width % LANES)).contiguous()
        pieces = torch.split(rows, max(1, PIECE // rows.shape[1]))
        return torch.cat([self._stock(piece) for piece in pieces])[:, :width].reshape(x.shape)


def stand_ins(model: nn.Module, taken: set[int]) -> list[Tiled | Elementwise]:
    """For the linear layers and activations of a model, but for the modules with these ids."""
    modules = [module for module in model.modules() if id(module) not in taken]
    linear: list[Tiled | Elementwise] = [Tiled(m) for m in modules if isinstance(m, nn.Linear | Conv1D)]
    return linear + [Elementwise(m) for m in modules if isinstance(m, _ACTIVATIONS)]


def attend(
    part: Short,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Queries [Hq, T, D] of an invariant view over keys and values [slots, Hkv, ·] → [B * Q, Hq, Dv]."""
    b, n, width = part.size
    assert part.rows is not None, "invariant views name their rows"
    heads, blocks = keys.shape[1], width // BLOCK
    group = query.shape[0] // heads
    kind = torch.promote_types(query.dtype, torch.float32)
    q = query.index_select(1, part.rows).to(kind).view(heads, group, b, n, -1).permute(2, 0, 1, 3, 4) * scale
    q = F.pad(q.reshape(b * heads, group * n, -1), (0, 0, 0, -group * n % CPU_TILE))
    k, v = (_blocks(x, part, blocks).to(kind) for x in (keys, values))
    scores = q.new_empty(blocks, b * heads, q.shape[1], BLOCK)
    for i in range(blocks):
        torch.bmm(q, k[i].mT, out=scores[i])
    if softcap is not None:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
    seen = scores.view(blocks, b, heads, -1, BLOCK)[..., : group * n, :].view(blocks, b, heads, group, n, BLOCK)
    seen += part.bias.view(b, 1, 1, n, blocks, BLOCK).permute(4, 0, 1, 2, 3, 5)
    top = scores.amax((0, -1))
    if sinks is not None:
        extra = sinks.to(kind).view(1, heads, group, 1).expand(b, heads, group, n).reshape(b * heads, -1)
        extra = F.pad(extra, (0, q.shape[1] - group * n))
        top = torch.maximum(top, extra)
    weights = scores.sub_(top[..., None]).exp_()
    parts = weights.sum(-1)
    total = torch.zeros_like(top) if sinks is None else (extra - top).exp_()
    out = q.new_zeros(b * heads, q.shape[1], v.shape[-1])
    for i in range(blocks):
        total += parts[i]
        out = torch.baddbmm(out, weights[i], v[i])
    out = (out / total[..., None])[:, : group * n].view(b, heads, group, n, -1)
    return out.permute(0, 3, 1, 2, 4).reshape(b * n, heads * group, -1).to(query.dtype)


def _blocks(x: Tensor, part: Short, blocks: int) -> Tensor:
    """[slots, Hkv, D] → [blocks, B * Hkv, BLOCK, D], laid out in this order whatever the sizes."""
    order = part.keys.view(-1, blocks, BLOCK).transpose(0, 1).flatten()
    x = x.index_select(0, order).view(blocks, -1, BLOCK, *x.shape[1:])
    return x.transpose(2, 3).reshape(blocks, -1, BLOCK, x.shape[-1]).contiguous()
