"""The kernel that adds masks to logits on a GPU: reads one bit a logit, writes only where something is banned.

Triton comes with the CUDA builds of torch; without it `mask_kernel` gives None and plain torch does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import Tensor

Kernel = Callable[[Tensor, Tensor, Tensor], None]

tl: Any = import_module("triton.language") if find_spec("triton") else None


def _mask(logits: Any, pool: Any, rows: Any, size: Any, stride: Any, words: Any, BLOCK: tl.constexpr) -> None:
    """One program: BLOCK logits of one row."""
    row = tl.program_id(0)
    index = tl.load(rows + row)
    if index != 0:
        column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        inside = column < size
        word = tl.load(pool + index * words + column // 32, mask=inside, other=-1)
        banned = inside & (((word >> (column % 32)) & 1) == 0)
        at = logits + row.to(tl.int64) * stride + column
        tl.store(at, tl.load(at, mask=banned, other=0.0) + float("-inf"), mask=banned)


def mask_kernel() -> Kernel | None:
    """(logits [S, size], pool [rows, words], rows [S]) → None, changing the logits; None without Triton."""
    if tl is None:
        return None
    kernel: Any = import_module("triton").jit(_mask)

    def apply(logits: Tensor, pool: Tensor, rows: Tensor) -> None:
        count, size = logits.shape
        grid = count, -(-size // 1024)
        kernel[grid](logits, pool, rows, size, logits.stride(0), pool.shape[1], BLOCK=1024)

    return apply
