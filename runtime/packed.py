"""Linear layers with oneDNN-packed float32 weights, for CPUs.

A product of a few rows with a large matrix is bound by reading the matrix, and MKL reads it in a bad order: measured on
Gemma 3 270M, one AVX2 core, ms (all 126 layers of the body | the output matrix [262144, 640]):

    rows     1        2         4         8         16        32        64
    MKL      28 | 50  51 | 124  57 | 139  67 | 157  90 | 206  131 | 303 221 | 538
    packed   30 | 44  35 |  50  44 |  64  54 |  80  79 | 123  127 | 205 227 | 400

and on one AVX-512 core of an AMD processor, where MKL keeps to AVX2 (prefill, too, is 2.3 times as fast packed: 247
against 108 GFLOP/s at 256 to 2,048 rows):

    MKL      22 | 38  37 |  80  33 |  71  40 |  83  55 | 109   82 | 169 139 | 326
    packed   13 | 17  13 |  19  15 |  22  17 |  27  23 |  36   37 |  59  60 |  98

The packed weights are a copy: the stock module keeps its own and is untouched. A transposed copy is faster for one
row (28 ms for the output matrix) and far slower from four on, and was left out.
"""

from __future__ import annotations

from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 1 << 16  # columns of the output matrix in one product
LEAST = 1 << 16  # weights worth packing


class PackedLinear:
    """Stands in for the forward of a linear layer, with a packed copy of its weight."""

    def __init__(self, module: nn.Linear, invariant: bool = False) -> None:
        self.module: nn.Module = module
        self._product = Product(module.weight, module.bias, invariant)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x)


class PackedHead:
    """Full rows of the output matrix [V, D], computed in blocks of columns into a buffer that is kept.

    glibc takes blocks of over 32 MiB from the system each time, as pages that are zeroed one by one: at 64 rows the
    copy from block to buffer costs a tenth of that. The result is valid until the next call.
    """

    def __init__(self, module: nn.Linear, invariant: bool = False) -> None:
        weight, bias = module.weight, module.bias
        self._width = weight.shape[0]
        self._blocks = [
            (part, Product(weight[part], None if bias is None else bias[part].clone(), invariant))
            for part in (slice(i, i + BLOCK) for i in range(0, self._width, BLOCK))
        ]
        self._buffer = torch.empty(0, self._width)

    def forward(self, x: Tensor) -> Tensor:
        """[R, D] → [R, V]"""
        if len(self._blocks) == 1:
            return self._blocks[0][1](x)
        if len(x) > len(self._buffer):
            self._buffer = torch.empty(len(x), self._width)
        out = self._buffer[: len(x)]
        for columns, product in self._blocks:
            out[:, columns] = product(x)
        return out


class Product:
    """x [..., D] → [..., N] by a packed copy of a weight [N, D].

    invariant: a row's result never depends on the rows beside it. That holds for two rows and more; one row alone is
    summed in another order by AVX-512 kernels (D above 1,024, oneDNN 3), and then gets a row of zeros beside it.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, invariant: bool = False) -> None:
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 16)
        self._bias = bias
        self._never_alone = False
        self._never_alone = invariant and self._differs_alone(weight.shape[1])

    def __call__(self, x: Tensor) -> Tensor:
        if self._never_alone and x.numel() == x.shape[-1]:
            return self._of(F.pad(x.view(1, -1), (0, 0, 0, 1)))[:1].view(*x.shape[:-1], -1)
        return self._of(x)

    def _of(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return out

    def _differs_alone(self, width: int) -> bool:
        row = torch.rand(1, width, generator=torch.Generator().manual_seed(0))
        return not torch.equal(self._of(row), self._of(F.pad(row, (0, 0, 0, 1)))[:1])


def packable(module: nn.Module, least: int = LEAST) -> TypeGuard[nn.Linear]:
    """Whether packing works for this layer, here, and is worth it."""
    return (
        type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.weight.numel() >= least
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


def packable_layers(model: nn.Module, least: int = LEAST) -> list[nn.Linear]:
    return [module for module in model.modules() if packable(module, least)]


def packed_bytes(layers: list[nn.Linear]) -> int:
    """What packed copies of these layers take."""
    return sum(layer.weight.numel() * 4 for layer in layers)
