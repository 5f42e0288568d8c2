"""KV slots: who has which.

A slot is room for one token's keys and values in every layer. The pool only counts: the tensors belong to the runner.
Page size 1 was chosen over larger pages because every prefix can then be shared to its last token, and on the
machines aimed at the gather costs the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import OutOfSlots

Slots = NDArray[np.int64]


class SlotPool:
    """The free slots out of `size`. `take` gives them away, `give` takes them back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._stack = np.arange(size - 1, -1, -1, dtype=np.int64)  # the top is at the end: low slots go first
        self.free = size

    def take(self, n: int) -> Slots:
        """n free slots, in ascending order while the pool is fresh. The caller owns them."""
        if n > self.free:
            raise OutOfSlots(f"{n} KV slots wanted, {self.free} of {self.size} are free")
        got = self._stack[self.free - n : self.free][::-1].copy()
        self.free -= n
        return got

    def give(self, slots: Slots) -> None:
        """Take back slots that the caller owned."""
        n = len(slots)
        if self.free + n > self.size:
            raise AssertionError(f"{n} slots given back, but {self.free} of {self.size} are free already")
        self._stack[self.free : self.free + n] = slots[::-1]
        self.free += n

    def free_slots(self) -> Slots:
        """The free slots themselves (for checks)."""
        return self._stack[: self.free].copy()
