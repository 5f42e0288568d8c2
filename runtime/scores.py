"""Log-probabilities of a token that was picked, and of the likeliest at its place."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .exponentials import COLDEST, Row, masked
from .filters import kept, largest
from .request import Scores
from .sampler import candidates
from .sampling import Sampling
from .sequence import Sequence


def scores_of(token: int, logits: Row, size: int, seq: Sequence) -> Scores:
    """`logits`: the full row, of which the first `size` columns are the vocabulary."""
    assert seq.choice is not None
    k, columns, row = seq.request.top_logprobs, seq.choice.columns, seq.choice.row
    raw = _logprobs(logits, Sampling(temperature=1.0))
    sampling = seq.request.sampling
    if sampling.greedy:
        sampling = replace(sampling, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    with candidates(logits, size, seq.choice, seq.penalties) as values:
        held = _logprobs(values if row is None else masked(values, row), sampling)
    at = token if columns is None else int(np.searchsorted(columns, token))
    return Scores(float(raw[token]), float(held[at]), _likeliest(raw[:size], None, k), _likeliest(held, columns, k))


def _logprobs(logits: Row, sampling: Sampling) -> NDArray[np.float64]:
    """Of every column, after temperature and filters."""
    top = float(logits.max())
    out = np.full(len(logits), -math.inf)
    indices = kept(logits, top, sampling) if sampling.filters else slice(None)
    scaled = (logits[indices].astype(np.float64) - top) / max(sampling.temperature, COLDEST)
    out[indices] = scaled - math.log(np.exp(scaled).sum())
    return out


def _likeliest(logprobs: NDArray[np.float64], columns: NDArray[np.int32] | None, k: int) -> dict[int, float]:
    if not k:
        return {}
    best = largest(logprobs, k)
    best = best[np.argsort(-logprobs[best], kind="stable")]
    ids = best if columns is None else columns[best]
    return {int(t): p for t, p in zip(ids, logprobs[best].tolist(), strict=True) if p > -math.inf}
