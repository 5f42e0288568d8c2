"""The substrings of a text, as an index that is small and quick to build: a suffix array.

All substrings that begin with the bytes read so far are the beginnings of an interval of the sorted suffixes, so a
state is that interval and the number of bytes read, and a step is two binary searches. A suffix automaton would step
faster but takes some 30 times the memory of the text; tries and lists of spans are quadratic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import suffixes as sorted_suffixes

Places = npt.NDArray[np.int32]


class Index(ABC):
    """Suffixes in the order of their bytes: `order` holds where they start."""

    order: Places

    @property
    @abstractmethod
    def arrays(self) -> tuple[Any, ...]:
        """What the native index is made of."""

    @abstractmethod
    def _byte(self, i: int, depth: int) -> int:
        """The byte of the i-th suffix after its first `depth`. Where spans may not go on -1, if such suffixes are the
        first in the order, or 256, if they are the last."""

    @abstractmethod
    def nearest_end(self, low: int, high: int, depth: int) -> int:
        """The least number of bytes to an end of a span."""

    def __len__(self) -> int:
        """How many suffixes there are."""
        return len(self.order)

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
        while at < high and (byte := self._byte(at, depth)) < 256:
            yield byte
            at = self._above(at, high, depth, byte)


@dataclass(frozen=True, eq=False, repr=False)
class Suffixes(Index):
    """Of `data`, for spans that begin and end at certain places and are of certain lengths.

    order: the starts of spans, sorted by the bytes from there on. ends: int32 [len(data) + 1], for each place the
    first end of spans at or behind it. first, last: as long as `order`, least and greatest end for each start.
    """

    data: bytes
    order: Places
    ends: Places
    first: Places
    last: Places

    @classmethod
    def of(cls, data: bytes, borders: Places, allowed: npt.NDArray[np.bool_], low: int, high: int | None) -> Suffixes:
        """Spans of `low` to `high` characters; borders: the places around each of the n characters, allowed: bool
        [n + 1], the borders at which spans may begin and end."""
        last = len(borders) - 1  # border
        at = np.zeros(len(data) + 1, np.int32)  # the character at each start; behind all where there is none
        starts = np.flatnonzero(allowed[: last + 1 - low])
        at[borders[starts]] = starts + 1
        order = np.frombuffer(sorted_suffixes(data), np.int32)
        order = np.ascontiguousarray(order[at[order] > 0])
        character = at[order] - 1
        places = borders[allowed]
        ends = places[np.searchsorted(places, np.arange(len(data) + 1))]
        longest = borders if high is None else borders[np.minimum(np.arange(last + 1) + high, last)]
        greatest = np.full(len(order), len(data), np.int32) if high is None else longest[character]
        return cls(data, order, ends, borders[character + low], greatest)

    @classmethod
    def of_words(cls, words: Sequence[bytes]) -> Suffixes:
        """Of whole words alone; given in order."""
        ends = np.cumsum([len(word) for word in words], dtype=np.int32)
        starts = np.concatenate([np.zeros(1, np.int32), ends[:-1]])
        data = b"".join(words)
        return cls(data, starts, np.arange(len(data) + 1, dtype=np.int32), ends, ends)

    def __repr__(self) -> str:
        shown = self.data[:20].decode(errors="replace")
        return f"{shown!r}{'...' if len(self.data) > 20 else ''}"

    @property
    def arrays(self) -> tuple[Any, ...]:
        return self.data, self.order, self.ends, self.first, self.last

    def _byte(self, i: int, depth: int) -> int:
        at = int(self.order[i]) + depth
        return self.data[at] if at < self.last[i] else -1

    def nearest_end(self, low: int, high: int, depth: int) -> int:
        first, last = self.first[low:high], self.last[low:high]
        at = np.minimum(self.order[low:high] + depth, last)
        ends = self.ends[np.maximum(at, first)]
        reached = (ends - at)[ends <= last]
        return int(reached.min()) if len(reached) else 1 << 60
