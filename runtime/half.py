"""Linear layers whose weights are float16 and whose arithmetic is float32 (LayerCast, arXiv 2506.09501).

Results are those of a float32 model whose weights were rounded to float16: activations, sums, norms and attention stay
float32. FBGEMM reads packed float16 weights and widens them in registers; without it, and on GPUs, a layer's weight is
widened at each use. Measured on Gemma 3 270M's shapes, one AVX2 core, ms (a layer [2048, 640] | [65536, 640]):

    rows              1            2            4            8           32           64            256
    float32 packed    .20 | 17.4   .43 | 20.3   .38 | 24.0   .61 | 26.1   1.77 | 55.9   3.12 |  99.5   9.31 | 376
    float16 FBGEMM    .14 |  7.8   .14 |  8.4   .23 |  8.8   .38 | 18.7   1.19 | 54.8   2.53 | 137.5   9.71 | 539

Considered for fewer bits (torch 2.13, AVX2, one row, the same two layers): `_weight_int8pack_mm` 1.95 | 70.6,
`_weight_int4pack_mm_for_cpu` 3.21 | 90.1: slower than float32. Dynamic int8 .15 | 5.3: little faster than float16,
rounds activations too, by the extremes of the whole batch, and its packing is deprecated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ModelMismatch
from .invariant import tiled

Product = Callable[[Tensor], Tensor]


def halvable(model: Any) -> list[nn.Linear]:
    """The layers whose weights are to be halved."""
    return [module for module in model.modules() if type(module) is nn.Linear]


@torch.no_grad()
def round_weights(model: Any) -> None:
    """Weights of linear layers and of the input embedding to float16 and back."""
    for layer in [*halvable(model), model.get_input_embeddings()]:
        if not layer.weight.half().isfinite().all():
            raise ModelMismatch("weights of over 65,504 do not fit into float16")
        layer.weight.copy_(layer.weight.half())


def release(model: Any) -> list[HalfEmbedding]:
    """Give up the float32 weights; the output matrix and the input embedding are kept as float16, as single rows of
    them are needed. The model no longer runs by itself. Returns what stands in for the embedding."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    table, weight = _parameter(embedding.weight.half()), head.weight
    tied = weight is embedding.weight
    for layer in halvable(model):
        layer.weight = _parameter(layer.weight.to("meta"))
    if type(head) is nn.Linear:
        head.weight = table if tied else _parameter(weight.half())
    embedding.weight = table
    return [HalfEmbedding(embedding)]


def _parameter(x: Tensor) -> nn.Parameter:
    return nn.Parameter(x.detach(), requires_grad=False)


class HalfLinear:
    """Stands in for the forward of a linear layer."""

    def __init__(self, module: nn.Linear, invariant: bool = False) -> None:
        self.module: nn.Module = module
        self._bias, self._invariant = module.bias, invariant
        self._product = _fbgemm(module.weight) or _widening(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        y = tiled(self._product, rows) if self._invariant else self._product(rows)
        y = y.view(*x.shape[:-1], -1)
        return y if self._bias is None else y + self._bias


def _fbgemm(weight: Tensor) -> Product | None:
    if weight.device.type != "cpu" or "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    packed = torch.ops.quantized.linear_prepack_fp16(weight.detach(), None)
    return lambda rows: torch.ops.quantized.linear_dynamic_fp16(rows, packed)


def _widening(weight: Tensor) -> Product:
    weight = weight.detach().half()
    return lambda rows: F.linear(rows, weight.to(rows.dtype))


class HalfEmbedding:
    """Stands in for the forward of an embedding whose table is float16: the rows in use are widened first, so that
    what the module does to them, such as a scale, is done in float32."""

    def __init__(self, module: nn.Embedding) -> None:
        self.module: nn.Module = module
        module.padding_idx = None  # matters for gradients only, and may lie outside of the rows in use

    def forward(self, x: Tensor) -> Tensor:
        used, places = torch.unique(x, return_inverse=True)
        weights = self.module._parameters
        table = weights["weight"]
        assert table is not None
        weights["weight"] = _parameter(table[used].float())
        try:
            out: Tensor = type(self.module).forward(self.module, places)
        finally:
            weights["weight"] = table
        return out
