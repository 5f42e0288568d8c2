"""One token from one row of logits.

Rows are handled one by one in numpy: on a CPU its argmax is ten times as fast as torch's, a full sort of a 262,144-wide
row (35 ms) is never needed, and a request's tokens then cannot depend on its neighbours in the batch. Random numbers
come from a generator of the request's own, one uniform number a token, mapped through the distribution function in the
order of token ids.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .choice import Choice
from .errors import SamplingError
from .sampling import Sampling

Row = NDArray[np.floating]
GROUP, BLOCK = 64, 512
COLDEST = 1e-30  # a float32 of its own
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BIAS = np.where(_BITS, np.float32(0), np.float32(-np.inf))  # of the eight tokens of a byte of a mask; no branches


def generator(sampling: Sampling, drawn: int = 0) -> np.random.Generator | None:
    """The random numbers of a request of which `drawn` tokens have been drawn."""
    if sampling.greedy:
        return None
    rng = np.random.Generator(np.random.Philox(sampling.seed))
    rng.random(drawn)
    return rng


def pick(logits: Row, size: int, choice: Choice, sampling: Sampling, rng: np.random.Generator | None) -> int:
    """A token id. `logits`: a full row (its first `size` columns are the vocabulary), or the choice's columns only."""
    columns = choice.columns
    if columns is None:
        return _pick_wide(logits[:size], choice.row, sampling, rng)
    values = logits if len(logits) == len(columns) else logits[columns]
    return int(columns[_pick(values, sampling, rng)])


def logprob(logits: Row, token: int) -> float:
    """Log-probability of a token under a full row."""
    top = logits.max()
    return float(logits[token] - top - np.log(np.exp(logits - top).sum(dtype=np.float64)))


def _pick_wide(logits: Row, row: NDArray[np.int32] | None, sampling: Sampling, rng: np.random.Generator | None) -> int:
    if sampling.greedy:
        best = int(logits.argmax())
        if row is None or math.isnan(logits.item(best)) or row.item(best >> 5) >> (best & 31) & 1:
            return _finite(logits, best)  # the best of all is the best of the allowed, if it is allowed
    if row is not None:
        logits = logits + _BIAS[row.view(np.uint8)].ravel()[: len(logits)]
    return _pick(logits, sampling, rng)


def _pick(logits: Row, sampling: Sampling, rng: np.random.Generator | None) -> int:
    best = _finite(logits, int(logits.argmax()))
    if sampling.greedy:
        return best
    assert rng is not None, "sampling needs a generator"
    weights = logits - logits[best]
    if sampling.temperature != 1:
        with np.errstate(over="ignore"):
            weights /= logits.dtype.type(max(sampling.temperature, COLDEST))
    np.exp(weights, out=weights)
    kept = _filtered(weights, sampling)
    at = _draw(weights if kept is None else weights[kept], rng.random())
    return at if kept is None else int(kept[at])


def _draw(weights: Row, u: float) -> int:
    """The index where the running sum of the weights passes the share u; of long rows, sums of blocks are run over."""
    if len(weights) < 2 * BLOCK:
        return _passes(weights, u * float(weights.sum(dtype=np.float64)))
    sums = np.add.reduceat(weights, np.arange(0, len(weights), BLOCK)).astype(np.float64)
    target = u * float(sums.sum())
    block = _passes(sums, target)
    start = block * BLOCK
    return start + _passes(weights[start : start + BLOCK], max(0.0, target - float(sums[:block].sum())))


def _passes(weights: Row, target: float) -> int:
    """The first index at which the running sum exceeds the target (which is below the whole sum, but for rounding)."""
    cumulated = weights.cumsum(dtype=np.float64)
    at = int(np.searchsorted(cumulated, target, side="right"))
    return at if at < len(weights) else int(np.flatnonzero(weights)[-1])


def _finite(logits: Row, best: int) -> int:
    top = logits.item(best)
    if math.isfinite(top):
        return best
    if math.isnan(top):
        raise SamplingError("the model gave NaN logits")
    raise SamplingError(f"the largest logit of the allowed tokens is {top}: nothing can be sampled")


def _filtered(weights: Row, sampling: Sampling) -> NDArray[np.intp] | None:
    """The indices that top_k, top_p and min_p keep, ascending; None for all."""
    kept = None
    if 0 < sampling.top_k < len(weights):
        kept = _top(weights, sampling.top_k)
    if sampling.top_p < 1:
        kept = _nucleus(weights, kept, sampling.top_p)
    if sampling.min_p > 0:
        likely = weights >= sampling.min_p * weights.max()
        kept = np.flatnonzero(likely) if kept is None else kept[likely[kept]]
    return None if kept is None else np.sort(kept)


def _top(weights: Row, k: int) -> NDArray[np.intp]:
    """The k largest, largest first, ties by index."""
    if k >= len(weights):
        return np.argsort(-weights, kind="stable")
    candidates = np.flatnonzero(weights >= _bound(weights, k))
    return candidates[np.argsort(-weights[candidates], kind="stable")][:k]


def _bound(weights: Row, k: int) -> float:
    """A number that at least k of the weights reach, and not many more.

    Of a long row, the k-th largest of the maxima of groups: k groups reach it, and finding it costs a tenth of
    partitioning the row.
    """
    groups = len(weights) // GROUP
    if groups >= k:
        weights = weights[: groups * GROUP].reshape(GROUP, groups).max(axis=0)
    return float(np.partition(weights, len(weights) - k)[len(weights) - k])


def _nucleus(weights: Row, kept: NDArray[np.intp] | None, p: float) -> NDArray[np.intp]:
    """The fewest of the largest whose share is at least p."""
    total = (weights if kept is None else weights[kept]).sum(dtype=np.float64)
    size = 256
    while True:  # rarely more than one round: the whole row need not be sorted
        ordered = _top(weights, size) if kept is None else kept
        cumulated = weights[ordered].cumsum(dtype=np.float64)
        if cumulated[-1] >= p * total or len(ordered) == len(weights) or kept is not None:
            return ordered[: int(np.searchsorted(cumulated, p * total)) + 1]
        size *= 16
