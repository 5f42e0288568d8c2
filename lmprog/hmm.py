"""Hidden Markov models over the tokens of a vocabulary: a small model of what a large one will write.

    start   [H]     the first hidden state's distribution
    move    [H, H]  from one hidden state to the next
    emit    [H, C]  from a hidden state to a class of tokens
    of      [V]     each token's class, and `share` [V] its probability within it

Most tokens of a large vocabulary never come in some thousand samples; those are one class, so that a model over 262,144
tokens takes the memory of those that did come. A text begins behind the model's BOS and ends with a token of
`Vocabulary.eos`, which is emitted like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DistillError

Floats = NDArray[np.float64]
Ids = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class HMM:
    """See the module. Arrays are float64, `of` is int32; they are not to be changed.

    Raises DistillError for shapes that do not fit, and for rows that are no distributions.
    """

    start: Floats
    move: Floats
    emit: Floats
    of: Ids
    share: Floats
    note: str = ""

    def __post_init__(self) -> None:
        states = len(self.start)
        if self.move.shape != (states, states) or self.emit.shape[0] != states or self.of.shape != self.share.shape:
            shapes = [a.shape for a in (self.start, self.move, self.emit, self.of, self.share)]
            raise DistillError(f"an HMM has arrays of shapes [H], [H, H], [H, C], [V], [V], not {shapes}")
        for name, rows in (("start", self.start[None]), ("move", self.move), ("emit", self.emit)):
            if not (np.all(rows >= 0) and np.allclose(rows.sum(axis=1), 1, atol=1e-6)):
                raise DistillError(f"the rows of `{name}` are no distributions: they must sum to 1")

    @classmethod
    def dense(cls, start: Any, move: Any, emit: Any) -> HMM:
        """Every token a class of its own: `emit` is [H, V]."""
        rows = np.asarray(emit, np.float64)
        size = rows.shape[1]
        arrays = np.asarray(start, np.float64), np.asarray(move, np.float64), rows
        return cls(*arrays, np.arange(size, dtype=np.int32), np.ones(size))

    @property
    def states(self) -> int:
        return len(self.start)

    @property
    def size(self) -> int:
        """Tokens of the vocabulary."""
        return len(self.of)

    def tokens(self, ids: Ids) -> Floats:
        """[H, n]: the probability of each token in each hidden state."""
        found: Floats = self.emit[:, self.of[ids]] * self.share[ids]
        return found

    def after(self, belief: Floats, token: int) -> Floats:
        """The distribution of the hidden state that comes after `token`, from that of the one that emits it. A token
        that cannot come tells nothing."""
        weights = belief * self.emit[:, self.of[token]]
        total = float(weights.sum())
        found: Floats = (weights / total if total > 0 else belief) @ self.move
        return found

    def behind(self, ids: Iterable[int]) -> Floats:
        """The distribution of the hidden state behind a text."""
        belief = self.start
        for token in ids:
            belief = self.after(belief, token)
        return belief

    def next(self, belief: Floats) -> Floats:
        """[V]: the distribution of the next token."""
        found: Floats = (belief @ self.emit)[self.of] * self.share
        return found

    def logprob(self, ids: Iterable[int]) -> float:
        """The log-probability of a text that begins with `ids`."""
        belief, total = self.start, 0.0
        for token in ids:
            with np.errstate(divide="ignore"):
                total += float(np.log(belief @ self.emit[:, self.of[token]] * self.share[token]))
            belief = self.after(belief, token)
        return total

    @cached_property
    def seen(self) -> Ids:
        """The tokens with a class of their own."""
        alone = np.bincount(self.of, minlength=self.emit.shape[1]) == 1
        found: Ids = np.flatnonzero(alone[self.of]).astype(np.int32)
        return found

    def save(self, path: str | Path) -> None:
        """As a numpy archive."""
        with Path(path).open("wb") as file:
            np.savez_compressed(
                file,
                start=self.start,
                move=self.move,
                emit=self.emit.astype(np.float32),
                of=self.of,
                share=self.share.astype(np.float32),
                note=np.array(self.note),
            )

    @classmethod
    def load(cls, path: str | Path) -> HMM:
        """What `save` wrote. Raises DistillError for a file that is none, or damaged."""
        try:
            with np.load(path, allow_pickle=False) as found:
                start, move, emit, share = [found[n].astype(np.float64) for n in ("start", "move", "emit", "share")]
                of, note = found["of"].astype(np.int32), str(found["note"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DistillError(f"{path} is no saved HMM: {error}") from error
        return cls(start, move, emit / emit.sum(axis=1, keepdims=True), of, share, note)
