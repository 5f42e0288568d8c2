"""Log-probabilities of a token that was picked, and of the likeliest at its place."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .errors import SamplingError
from .exponentials import COLDEST, Row, exponentials, masked
from .filters import kept, largest, weights
from .request import Ask, Scores
from .sampler import candidates
from .sampling import Sampling
from .sequence import Sequence


def scores_of(token: int, logits: Row, size: int, seq: Sequence) -> Scores:
    """`logits`: the full row, of which the first `size` columns are the vocabulary."""
    assert seq.choice is not None
    k, columns, mask = seq.request.top_logprobs, seq.choice.columns, seq.choice.row
    raw, top_raw = _scored(logits, Sampling(temperature=1.0), token, k, size)
    sampling = seq.request.sampling
    if sampling.greedy:
        sampling = replace(sampling, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    at = token if columns is None else int(np.searchsorted(columns, token))
    with candidates(logits, size, seq.choice, seq.penalties) as values:
        held = values if mask is None else masked(values, mask)
        chance, top_masked = _scored(held, sampling, at, k, size)
    if columns is not None:
        top_masked = {int(columns[i]): p for i, p in top_masked.items()}
    return Scores(raw, chance, top_raw, top_masked, seq.choice.size(size), time.perf_counter())


def answer(ask: Ask, logits: Row) -> NDArray[np.float64]:
    """`logits`: the full row, or the columns of a relative ask."""
    narrow = ask.relative and len(logits) == len(ask.tokens)
    wanted = (logits if narrow else logits[ask.tokens]).astype(np.float64)
    if np.isnan(wanted).any():
        raise SamplingError("the model gave NaN logits")
    if ask.relative:
        return wanted
    top = float(logits.max())
    return wanted - top - _log_total(logits, None, top, 1.0)


def _scored(logits: Row, sampling: Sampling, at: int, k: int, size: int) -> tuple[float, dict[int, float]]:
    """The log-probability of one column and of the k likeliest (of the first `size`), after temperature and filters."""
    top = float(logits.max())
    indices = kept(logits, top, sampling) if sampling.filters else None
    total = _log_total(logits, indices, top, sampling.temperature)
    best = _likeliest(logits[:size], indices, k) if k else ()
    values = {int(i): (float(logits[i]) - top) / max(sampling.temperature, COLDEST) - total for i in (at, *best)}
    return values[at], {int(i): values[int(i)] for i in best if values[int(i)] > -math.inf}


def _log_total(logits: Row, indices: NDArray[np.intp] | None, top: float, temperature: float) -> float:
    """The logarithm of the sum of exp((logits - top) / temperature)."""
    if indices is not None:
        return math.log(weights(logits[indices], top, temperature).sum())
    shares, sums = exponentials(logits, temperature)
    return math.log(sums.sum() / float(shares.max()))


def _likeliest(logits: Row, indices: NDArray[np.intp] | None, k: int) -> NDArray[np.intp]:
    """The k with the largest logits, largest first."""
    among = logits if indices is None else logits[indices]
    best = largest(among, k)
    best = best[np.argsort(-among[best], kind="stable")]
    return best if indices is None else indices[best]
