"""Penalties and biases: what is done to the logits of single tokens before anything else.

Only the tokens that occurred or have a bias are touched. A full row is changed where it stands and restored, as it may
belong to several requests and copying it would cost more than all else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import SamplingError
from .radix import Ids
from .sampling import Sampling

Row = NDArray[np.floating]


class Terms(NamedTuple):
    """The logits `at` some columns get `bias`; then they are divided by `scale`, or multiplied if negative; then `less`
    is subtracted."""

    at: NDArray[np.int64]
    bias: NDArray[np.float64]
    scale: NDArray[np.float64]
    less: NDArray[np.float64]


class Penalties:
    """Of one request: parallel arrays over the tokens concerned, in the order in which they came up."""

    def __init__(self, sampling: Sampling, prompt: Ids, size: int) -> None:
        bias = sampling.logit_bias or {}
        if bias and max(bias) >= size:
            raise SamplingError(f"logit_bias names token {max(bias)}, but the vocabulary has {size} tokens")
        self._sampling = sampling
        seen = prompt[prompt < size].tolist() if sampling.repetition_penalty != 1 else []
        ids = list(dict.fromkeys([*bias, *seen]))
        self._index = {token: i for i, token in enumerate(ids)}
        self._ids = np.array(ids, np.int64)
        self._bias = np.array([bias.get(token, 0.0) for token in ids])
        self._seen = np.isin(self._ids, seen)
        self._counts = np.zeros(len(ids), np.int64)
        self._counted = 0

    def count(self, generated: Ids) -> None:
        """Take in what was generated since the last time."""
        tokens = generated[self._counted :].tolist()
        self._counted = len(generated)
        self._add([token for token in dict.fromkeys(tokens) if token not in self._index])
        for token in tokens:
            self._counts[self._index[token]] += 1

    def _add(self, new: list[int]) -> None:
        if new:
            self._index.update(zip(new, range(len(self._ids), len(self._ids) + len(new)), strict=True))
            self._ids = np.append(self._ids, new)
            self._bias, self._seen = (np.append(a, np.zeros(len(new), a.dtype)) for a in (self._bias, self._seen))
            self._counts = np.append(self._counts, np.zeros(len(new), np.int64))

    def terms(self, columns: NDArray[np.int32] | None = None) -> Terms:
        """What changes in a row of all tokens, or of some columns in ascending order."""
        at = self._ids
        of: slice | NDArray[np.intp] = slice(None)
        if columns is not None:
            at = np.searchsorted(columns, self._ids)
            of = np.flatnonzero(columns[np.minimum(at, len(columns) - 1)] == self._ids)
            at = at[of]
        s, counts = self._sampling, self._counts[of]
        scale = np.where(self._seen[of] | (counts > 0), s.repetition_penalty, 1.0)
        return Terms(at, self._bias[of], scale, s.frequency_penalty * counts + s.presence_penalty * (counts > 0))

    @contextmanager
    def changing(self, logits: Row, columns: NDArray[np.int32] | None = None) -> Iterator[Row]:
        """The changed logits: of all tokens (their old values come back at the end), or a copy of some columns."""
        at, bias, scale, less = self.terms(columns)
        if columns is not None or not logits.flags.writeable:
            logits = logits.copy()
        old = logits[at]
        try:
            new = old.astype(np.float64) + bias
            logits[at] = np.where(new < 0, new * scale, new / scale) - less
            yield logits
        finally:
            logits[at] = old
