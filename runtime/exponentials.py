"""Weights of a row of logits: exponentials, and their sums by blocks, over which a draw runs first.

The compiled kernel does it in one pass, with temperature and mask; numpy takes several and does the same for float64
and short rows, or where the kernel was not built. Usually nothing need be subtracted from the logits for it, so their
maximum is not looked for; if the sum leaves a safe range after all, or is no number, the maximum is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .errors import SamplingError

Row = NDArray[np.floating]
Mask = NDArray[np.int32]
Kernel = Callable[[Row, float, Mask | None, Row, NDArray[np.float64]], None]

try:
    from ._native import exponentials as _exponentials

    fused: Kernel | None = _exponentials
except ImportError:  # not built: slower, but the same
    fused = None

BLOCK = 512  # as in the kernel
COLDEST = 1e-30  # a temperature that is a float32 of its own
SAFE = (1e-8, 1e30)  # sums that neither overflow in float32 nor leave out what would matter
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BIAS = np.where(_BITS, np.float32(0), np.float32(-np.inf))  # of the eight tokens of a byte of a mask; no branches


def exponentials(logits: Row, temperature: float, mask: Mask | None = None) -> tuple[Row, NDArray[np.float64]]:
    """exp(logits / temperature), up to a common factor, 0 for what the mask does not allow; the sums of its blocks."""
    temperature = max(temperature, COLDEST)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        fast = _fast(logits, temperature, mask)
        if fast is not None and SAFE[0] < fast[1].sum() < SAFE[1]:  # as NaN is not
            return fast
        held = logits if mask is None else masked(logits, mask)
        values = held - held[finite(held, int(held.argmax()))]
        if temperature != 1:
            values /= logits.dtype.type(temperature)
        np.exp(values, out=values)
        return values, block_sums(values)


def _fast(logits: Row, temperature: float, mask: Mask | None) -> tuple[Row, NDArray[np.float64]] | None:
    if fused is None or logits.dtype != np.float32 or len(logits) < 2 * BLOCK or not logits.flags.c_contiguous:
        return None
    values, sums = np.empty(len(logits), np.float32), np.empty(-(-len(logits) // BLOCK))
    fused(logits, temperature, mask, values, sums)
    return values, sums


def block_sums(values: Row) -> NDArray[np.float64]:
    """Of each BLOCK of a long row; of a short one, the whole sum. (einsum: a third of the time of reduceat.)"""
    if len(values) < 2 * BLOCK:
        return np.asarray(values.sum(dtype=np.float64, keepdims=True))
    cut = len(values) // BLOCK * BLOCK
    sums = np.einsum("ij->i", values[:cut].reshape(-1, BLOCK)).astype(np.float64)
    return sums if cut == len(values) else np.append(sums, values[cut:].sum(dtype=np.float64))


def masked(logits: Row, mask: Mask) -> Row:
    """A copy with -inf for what a mask does not allow."""
    bias = _BIAS.take(mask.view(np.uint8), axis=0).ravel()[: len(logits)]  # a seventh of the time of indexing
    return np.add(logits, bias, out=bias if logits.dtype == bias.dtype else None)


def finite(logits: Row, best: int) -> int:
    """The index of the largest logit, if that is a number. Raises SamplingError."""
    top = logits.item(best)
    if math.isfinite(top):
        return best
    raise unusable(top)


def unusable(top: float) -> SamplingError:
    """The error of a row whose largest logit is no finite number."""
    if math.isnan(top):
        return SamplingError("the model gave NaN logits")
    return SamplingError(f"the largest logit of the allowed tokens is {top}: nothing can be sampled")
