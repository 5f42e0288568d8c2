"""Mask rows on a device, applied to a batch of logits by row index.

A constraint hands out the same read-only array for the same state, so a state's row crosses to the device once, and
then costs an index: the identity of the array is the key, and the array is held, so that no identity comes up twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .choice import Choice
from .triton_mask import mask_kernel

Mask = NDArray[np.int32]
FIRST, MOST = 64, 4096  # rows of a pool: to begin with, and unless a single step needs more
CHUNK = 1 << 25  # logits that are masked at once where there is no kernel


class MaskPool:
    """Packed rows [rows, words] for a vocabulary of `size` tokens; row 0 allows everything."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size, self.words, self.uploaded = size, -(-size // 32), 0
        self._device = device
        self._rows = torch.full((FIRST, self.words), -1, dtype=torch.int32, device=device)
        self._known: dict[int, tuple[int, Mask]] = {}  # by identity, the longest unused first
        self._kernel = mask_kernel() if device.type == "cuda" else None
        self._shifts = torch.arange(32, dtype=torch.int32, device=device)

    def indices(self, choices: Sequence[Choice]) -> list[int]:
        """The row of each choice's tokens; those that are new are sent."""
        self._grow(len(choices) + 1)
        new: dict[int, Mask] = {}
        out = [self._index(choice, new) for choice in choices]
        if new:
            self._send(new)
        return out

    def _send(self, new: dict[int, Mask]) -> None:
        try:
            at = to_device(np.array(list(new), np.int64), self._device)
            self._rows.index_copy_(0, at, to_device(np.stack(list(new.values())), self._device))
        except BaseException:  # no memory, say: what did not arrive must not be taken for known
            self._known.clear()
            raise
        self.uploaded += len(new)

    def apply(self, logits: Tensor, rows: Tensor) -> None:
        """Add -inf to what is not allowed. logits: float [S, size], changed in place; rows: int64 [S], from `indices`.

        Added rather than filled in, so that a NaN is never hidden.
        """
        if self._kernel is not None:
            self._kernel(logits, self._rows, rows)
            return
        step = max(1, CHUNK // self.size)
        for part, at in zip(torch.split(logits, step), torch.split(rows, step), strict=True):
            bits = (self._rows.index_select(0, at)[..., None] >> self._shifts) & 1
            banned = bits.flatten(1)[:, : self.size] == 0
            part += torch.zeros_like(part).masked_fill_(banned, -torch.inf)

    def _index(self, choice: Choice, new: dict[int, Mask]) -> int:
        key = choice.row if choice.columns is None else choice.columns
        if key is None:
            return 0
        found = self._known.pop(id(key), None)
        if found is None:
            full = len(self._known) + 1 == len(self._rows)
            at = self._known.pop(next(iter(self._known)))[0] if full else len(self._known) + 1
            new[at] = key if choice.columns is None else packed(key, self.size)
            found = at, key
        self._known[id(key)] = found
        return found[0]

    def _grow(self, used: int) -> None:
        """Room for the rows of a step, and for more of them as long as the pool is small."""
        have = len(self._rows)
        want = max(used, min(MOST, len(self._known) + used))
        if want > have:
            more = torch.empty(
                max(want, min(MOST, 2 * have)) - have, self.words, dtype=torch.int32, device=self._device
            )
            self._rows = torch.cat([self._rows, more])


def packed(columns: NDArray[np.int32], size: int) -> Mask:
    """The mask row that allows these ids only."""
    bits = np.zeros(-(-size // 32) * 32, np.bool_)
    bits[columns] = True
    return np.packbits(bits, bitorder="little").view(np.int32)


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """The array on a device; a GPU is not waited for."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
