"""Matrices of int8, a scale for each row, and products with them by the compiled kernel (native/int8.c).

Rows of floats are rounded to 16 bits for it, or as many as no sum overflows with, each by a step of its own; the sums
are of integers, so that a row's result does not depend on the rows beside it, nor on the processor.

Measured on one AVX-512 core, a matrix [262144, 640], ms, against the packed float32 product:

    rows       1     2     4     8    16    24
    float32   18    20    23    28    38    50
    bounds     5     5     6    10    19    31
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

try:
    from . import _native

    LEVEL = _native.LEVEL  # 0: the portable kernel, slower than float32
except ImportError:  # not built
    LEVEL = 0

GROUP = 16  # rows of a matrix that lie together
BLOCK = 1 << 14  # rows that are rounded at once
ALONE = 1 << 24  # products of single numbers that are not worth dividing among threads
Floats = NDArray[np.float32]
Part = Callable[[int, int], None]


class Int8Matrix:
    """A weight [n, d] on a CPU, rounded; d is even.

    errors, norms   of each row: the norm of what rounding took away, at least, and that of the rounded row
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.n, self.d = weight.shape
        groups = -(-self.n // GROUP)
        self._weights = np.zeros((groups, self.d // 2, GROUP, 2), np.int8)
        self.scales, self.errors, self.norms = (np.empty(self.n, np.float32) for _ in range(3))
        self.bias = None if bias is None else bias.detach().float().numpy().copy()
        for start in range(0, self.n, BLOCK):
            self._round(start, weight[start : start + BLOCK].detach().float())

    def _round(self, start: int, weight: Tensor) -> None:
        n = len(weight)
        near, scales = _near(weight)
        part = slice(start, start + n)
        self.scales[part] = scales
        self.errors[part] = (weight - near * scales[:, None]).norm(dim=1) * 1.0001
        self.norms[part] = near.norm(dim=1) * scales
        near = torch.nn.functional.pad(near.to(torch.int8), (0, 0, 0, -n % GROUP))
        groups = near.view(-1, GROUP, self.d // 2, 2).transpose(1, 2)
        self._weights[start // GROUP : start // GROUP + len(groups)] = groups.numpy()

    def products(self, x: Tensor) -> Tensor:
        """x [R, d] → [R, n]"""
        out = torch.empty(len(x), self.n)
        rows, to = x.detach().numpy(), out.numpy()

        def part(first: int, last: int) -> None:
            _native.products(rows, self._weights, self.scales, self.bias, to, self.d, first, last, LEVEL)

        self._divided(part, len(x))
        return out

    def bounds(self, x: Floats, masks: NDArray[np.int32] | None) -> tuple[Floats, Floats]:
        """Of the products of x [R, d] with the weight that was rounded: upper bounds [R, n], -inf for what the masks
        [R, words] do not allow, and the largest lower bound [R] of those that they do, nan for a row with no numbers.
        """
        upper, lowest = np.empty((len(x), self.n), np.float32), []

        def part(first: int, last: int) -> None:
            lower = np.empty((len(x), GROUP), np.float32)
            matrix = self._weights, self.scales, self.bias, self.errors, self.norms
            _native.screen(x, *matrix, masks, upper, lower, self.d, first, last, LEVEL)
            lowest.append(lower.max(1))

        self._divided(part, len(x))
        return upper, np.max(lowest, axis=0)

    def _divided(self, part: Part, rows: int) -> None:
        """Groups of the matrix, among as many threads as torch has."""
        groups, threads = len(self._weights), torch.get_num_threads()
        if threads == 1 or rows * self.n * self.d < ALONE:
            return part(0, groups)
        ends = [groups * i // threads for i in range(threads + 1)]
        list(_pool(threads).map(part, ends[:-1], ends[1:]))
        return None


def _near(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The integers nearest to a weight [n, d], and what one of them is worth in each row."""
    scales = (weight.abs().amax(1) / 127).clamp(min=1e-30)
    return (weight / scales[:, None]).round_(), scales


def rounded(weight: Tensor) -> Tensor:
    """A weight as an Int8Matrix has it."""
    near, scales = _near(weight)
    return near * scales[:, None]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lmprog-int8")
