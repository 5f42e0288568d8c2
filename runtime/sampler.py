"""One token from one row of logits.

Rows are handled one by one in numpy: on a CPU its argmax is ten times as fast as torch's, a full sort of a 262,144-wide
row (35 ms) is never needed, and a request's tokens then cannot depend on its neighbours in the batch. Random numbers
come from a generator of the request's own, one uniform number a token, mapped through the distribution function in the
order of token ids.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .choice import Choice
from .exponentials import BLOCK, Mask, Row, block_sums, exponentials, finite, masked
from .filters import kept, weights
from .penalties import Penalties
from .sampling import Sampling
from .uniforms import CodePoint, Uniforms


class Pick(NamedTuple):
    """A token wanted from the row of the sample number `at` of a step."""

    at: int
    choice: Choice
    sampling: Sampling
    uniforms: Uniforms | None
    penalties: Penalties | None
    top: int | None = None  # log-probabilities are wanted, and of how many others


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


def _pick_wide(logits: Row, mask: Mask | None, sampling: Sampling, uniforms: Uniforms | None) -> int:
    if sampling.greedy:
        best = int(logits.argmax())
        if mask is None or math.isnan(logits.item(best)) or mask.item(best >> 5) >> (best & 31) & 1:
            return finite(logits, best)  # the best of all is the best of the allowed, if it is allowed
    return _pick(logits, sampling, uniforms, mask)


def _pick(logits: Row, sampling: Sampling, uniforms: Uniforms | None, mask: Mask | None = None) -> int:
    if not (sampling.greedy or sampling.filters):
        assert uniforms is not None, "sampling needs random numbers"
        return _draw(*exponentials(logits, sampling.temperature, mask), uniforms)
    if mask is not None:
        logits = masked(logits, mask)
    best = finite(logits, int(logits.argmax()))
    if sampling.greedy:
        return best
    assert uniforms is not None, "sampling needs random numbers"
    indices = kept(logits, logits.item(best), sampling)
    shares = weights(logits[indices], logits.item(best), sampling.temperature)
    return int(indices[_draw(shares, block_sums(shares), uniforms)])


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
