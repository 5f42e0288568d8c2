"""Linear layers whose weights are int8, a scale for each row of them; see int8.py.

Results are those of a float32 model whose weights were rounded, but that what goes into a layer is rounded to 13 bits
or more, which changes a result a hundred times less than the weights do. Norms, activations and attention stay float32.

Considered besides: `_weight_int8pack_mm` and `_weight_int4pack_mm_for_cpu` of torch (slower than float32 without
AVX-512, see half.py); 4 bits, which round so coarsely without a calibration of their own that a model of this size is
another one, and read 100 MB less of Gemma's 268, while a step takes as long again for all that is not a product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .int8 import Int8Matrix, rounded


def lightened(model: Any) -> list[nn.Linear]:
    """The layers whose weights become int8."""
    return [m for m in model.modules() if type(m) is nn.Linear and m.in_features % 2 == 0]


@torch.no_grad()
def round_to_int8(model: Any) -> None:
    """Weights of linear layers to int8 and back; of the input embedding as well, where the output matrix is tied."""
    for layer in lightened(model):
        layer.weight.copy_(rounded(layer.weight))


def release_weights(model: Any) -> None:
    """Give up the float32 weights, but for the output matrix, single rows of which are needed. The model no longer
    runs by itself."""
    head = model.get_output_embeddings()
    for layer in lightened(model):
        if layer is not head:
            layer.weight = nn.Parameter(layer.weight.to("meta"), requires_grad=False)


class Int8Linear:
    """Stands in for the forward of a linear layer."""

    def __init__(self, module: nn.Linear) -> None:
        self.module: nn.Module = module
        self._matrix = Int8Matrix(module.weight, module.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self._matrix.d)
        return self._matrix.products(rows.contiguous()).view(*x.shape[:-1], -1)
