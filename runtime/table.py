"""A runner without a model: logits are a Python function of the tokens so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .runner import Batch


class TableRunner:
    """Runs under the same engine, prefix tree and slots as a real model; for tests and for toy models.

    logits   function of the ids so far (a tuple) → `width` numbers (log-weights; -inf for what cannot come)
    context  most positions
    prepare  told in each step of all the prefixes whose logits are going to be asked for

    A slot's "keys and values" are its token's id, and prefixes are read back through the slots: a wrong slot gives a
    wrong prefix.
    """

    def __init__(
        self,
        logits: Callable[[tuple[int, ...]], ArrayLike],
        width: int,
        context: int = 1 << 20,
        prepare: Callable[[Sequence[tuple[int, ...]]], object] | None = None,
    ) -> None:
        self.width, self.context = width, context
        self._logits, self._prepare = logits, prepare
        self._kv = np.zeros(0, np.int32)

    @classmethod
    def from_probs(
        cls, next_probs: Callable[[tuple[int, ...]], Sequence[float]], width: int, context: int = 1 << 20
    ) -> TableRunner:
        """From a function of the ids so far → probabilities of the next token (they are normalised here)."""

        def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
            probs: NDArray[np.float64] = np.asarray(next_probs(prefix), np.float64)
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(probs / probs.sum()))

        return cls(logits, width, context)

    def reserve(self, slots: int | None) -> int:
        self._kv = np.full(slots or 1 << 16, -1, np.int32)
        return len(self._kv)

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        self._kv[batch.slots] = batch.ids
        prefixes = [self._prefix(batch, int(row)) for row in batch.rows]
        if self._prepare is not None:
            self._prepare(list(dict.fromkeys(prefixes)))
        return [self._row(prefix, columns) for prefix, columns in zip(prefixes, batch.columns, strict=True)]

    def _prefix(self, batch: Batch, row: int) -> tuple[int, ...]:
        span = next(s for s in batch.spans if s.row <= row < s.row + s.n)
        table = span.table[: len(span.table) - span.n + row - span.row + 1]
        return tuple(self._kv[table].tolist())

    def _row(self, prefix: tuple[int, ...], columns: NDArray[np.int32] | None) -> NDArray[np.floating]:
        values = np.asarray(self._logits(prefix), np.float64)
        if values.shape != (self.width,):
            raise ValueError(f"the function gave logits of shape {values.shape}, not ({self.width},)")
        return values if columns is None else values[columns]
