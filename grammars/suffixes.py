"""The substrings of a text, as an index that is small and quick to build: a suffix array.

All substrings that begin with the bytes read so far are the beginnings of an interval of the sorted suffixes, so a
state is that interval and the number of bytes read, and a step is two binary searches. A suffix automaton would step
faster but takes some 30 times the memory of the text; tries and lists of spans are quadratic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._native import suffixes as sorted_suffixes

Places = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, repr=False)
class Suffixes:
    """Of `data` (UTF-8), for spans that begin and end at certain places.

    order: the starts of spans, sorted by the bytes from there on. ends: int32 [len(data) + 1], for each place the
    first end of a span at or behind it.
    """

    data: bytes
    order: Places
    ends: Places

    @classmethod
    def of(cls, data: bytes, starts: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> Suffixes:
        """starts, ends: bool [len(data) + 1], where spans may begin and end."""
        order = np.frombuffer(sorted_suffixes(data), np.int32)
        places = np.flatnonzero(ends).astype(np.int32)
        after = np.searchsorted(places, np.arange(len(data) + 1))
        return cls(
            data, np.ascontiguousarray(order[starts[order]]), np.append(places, 2**31 - 1).astype(np.int32)[after]
        )

    def __len__(self) -> int:
        """How many suffixes there are."""
        return len(self.order)

    def __repr__(self) -> str:
        shown = self.data[:20].decode(errors="replace")
        return f"{shown!r}{'...' if len(self.data) > 20 else ''}"

    def _byte(self, i: int, depth: int) -> int:
        at = int(self.order[i]) + depth
        return self.data[at] if at < len(self.data) else -1

    def _above(self, low: int, high: int, depth: int, byte: int) -> int:
        """The first place in [low, high) whose suffix goes on with more than `byte`."""
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._byte(middle, depth) > byte else (middle + 1, high)
        return low

    def going_on(self, low: int, high: int, depth: int, byte: int) -> tuple[int, int]:
        """The part of the interval whose suffixes go on with `byte`."""
        low = self._above(low, high, depth, byte - 1)
        return low, self._above(low, high, depth, byte)

    def next_bytes(self, low: int, high: int, depth: int) -> Iterator[int]:
        at = self._above(low, high, depth, -1)
        while at < high:
            yield (byte := self._byte(at, depth))
            at = self._above(at, high, depth, byte)

    def nearest_end(self, low: int, high: int, depth: int) -> int:
        """The least number of bytes to an end of a span that is not empty."""
        places = self.order[low:high] + depth
        return int((self.ends[places + (depth == 0)] - places).min())
