"""One token from one row of logits.

Rows are handled one by one in numpy: on a CPU its argmax is ten times as fast as torch's, a full sort of a 262,144-wide
row (35 ms) is never needed, and a request's tokens then cannot depend on its neighbours in the batch. Random numbers
come from a generator of the request's own, one uniform number a token, mapped through the distribution function in the
order of token ids.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import numpy as np
from numpy.typing import NDArray

from .choice import Choice
from .errors import SamplingError
from .filters import COLDEST, kept, weights
from .penalties import Penalties
from .sampling import Sampling
from .uniforms import CodePoint, Uniforms

Row = NDArray[np.floating]
BLOCK = 512
SAFE = (1e-15, 1e30)  # sums of exponentials that neither overflow in float32 nor lose their small ones
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BIAS = np.where(_BITS, np.float32(0), np.float32(-np.inf))  # of the eight tokens of a byte of a mask; no branches


def pick(
    logits: Row,
    size: int,
    choice: Choice,
    sampling: Sampling,
    uniforms: Uniforms | None,
    penalties: Penalties | None = None,
) -> int:
    """A token id. `logits`: a full row (its first `size` columns are the vocabulary), or the choice's columns only."""
    columns = choice.columns
    with candidates(logits, size, choice, penalties) as values:
        if columns is not None:
            return int(columns[_pick(values, sampling, uniforms)])
        return _pick_wide(values, choice.row, sampling, uniforms)


def candidates(logits: Row, size: int, choice: Choice, penalties: Penalties | None) -> AbstractContextManager[Row]:
    """The logits of the choice's columns, or of all tokens, with penalties; a full row is changed while this lasts."""
    columns = choice.columns
    values = logits[:size] if columns is None else logits if len(logits) == len(columns) else logits[columns]
    return nullcontext(values) if penalties is None else penalties.changing(values, columns)


def masked(logits: Row, row: NDArray[np.int32]) -> Row:
    """A copy with -inf for what a mask does not allow."""
    return np.asarray(logits + _BIAS[row.view(np.uint8)].ravel()[: len(logits)])


def _pick_wide(logits: Row, row: NDArray[np.int32] | None, sampling: Sampling, uniforms: Uniforms | None) -> int:
    if sampling.greedy:
        best = int(logits.argmax())
        if row is None or math.isnan(logits.item(best)) or row.item(best >> 5) >> (best & 31) & 1:
            return _finite(logits, best)  # the best of all is the best of the allowed, if it is allowed
    return _pick(logits if row is None else masked(logits, row), sampling, uniforms)


def _pick(logits: Row, sampling: Sampling, uniforms: Uniforms | None) -> int:
    if sampling.greedy:
        return _finite(logits, int(logits.argmax()))
    assert uniforms is not None, "sampling needs random numbers"
    if not sampling.filters:
        return _draw(*exponentials(logits, sampling.temperature), uniforms)
    top = logits.item(_finite(logits, int(logits.argmax())))
    indices = kept(logits, top, sampling)
    shares = weights(logits[indices], top, sampling.temperature)
    return int(indices[_draw(shares, block_sums(shares), uniforms)])


def exponentials(logits: Row, temperature: float) -> tuple[Row, NDArray[np.float64]]:
    """exp(logits / temperature) up to a factor, and the sums of its blocks."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = np.exp(logits if temperature == 1 else logits / logits.dtype.type(max(temperature, COLDEST)))
        sums = block_sums(values)
        if not SAFE[0] < sums.sum() < SAFE[1]:  # as NaN is, too
            values = logits - logits[_finite(logits, int(logits.argmax()))]
            values /= logits.dtype.type(max(temperature, COLDEST))
            sums = block_sums(np.exp(values, out=values))
    return values, sums


def block_sums(values: Row) -> NDArray[np.float64]:
    """Of each BLOCK of a long row; of a short one, the whole sum. (einsum: a third of the time of reduceat.)"""
    if len(values) < 2 * BLOCK:
        return np.asarray(values.sum(dtype=np.float64, keepdims=True))
    cut = len(values) // BLOCK * BLOCK
    sums = np.einsum("ij->i", values[:cut].reshape(-1, BLOCK)).astype(np.float64)
    return sums if cut == len(values) else np.append(sums, values[cut:].sum(dtype=np.float64))


def _draw(values: Row, sums: NDArray[np.float64], uniforms: Uniforms) -> int:
    """The index where the running sum of the weights passes a random share of the whole."""
    ends = sums.cumsum()
    total = float(ends[-1])
    target = uniforms.random() * total
    block = _passes(ends, sums, target)
    start, before = block * BLOCK, float(ends[block] - sums[block])
    values = values[start : start + BLOCK] if len(sums) > 1 else values
    inner = values.cumsum(dtype=np.float64)
    at = _passes(inner, values, target - before)
    if isinstance(uniforms, CodePoint):
        last = at == len(values) - 1 or inner[-1] == inner[at]  # what rounding leaves of a block is its last token's
        end = float(ends[block]) if last else min(before + float(inner[at]), float(ends[block]))
        uniforms.took((before + (float(inner[at - 1]) if at else 0.0)) / total, end / total)
    return start + at


def _passes(cumulated: NDArray[np.float64], values: Row, target: float) -> int:
    """The first index at which the running sum exceeds the target (which is below the whole sum, but for rounding)."""
    at = int(np.searchsorted(cumulated, target, side="right"))
    return at if at < len(cumulated) else int(np.flatnonzero(values)[-1])


def _finite(logits: Row, best: int) -> int:
    top = logits.item(best)
    if math.isfinite(top):
        return best
    if math.isnan(top):
        raise SamplingError("the model gave NaN logits")
    raise SamplingError(f"the largest logit of the allowed tokens is {top}: nothing can be sampled")
