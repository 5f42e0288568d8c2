"""Finite languages of bytes as shared, minimal graphs: one UTF-8 code point of a class, or one of many options.

A `Dag` is an interned state of a minimal acyclic automaton, so equal languages are the same object and
the derivative of a leaf is a lookup. UTF-8 ranges are split as in Ken Thompson's / Rust's `utf8-ranges`
construction; option sets are built from the sorted list (Daciuk et al., 2000).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import ClassVar

Ranges = Sequence[tuple[int, int]]

_LIMITS = ((0x7F, 1), (0x7FF, 2), (0xFFFF, 3), (0x10FFFF, 4))


class Dag:
    """A state: `edges` are disjoint (low byte, high byte, next state) in order, `final` says the text may end here."""

    __slots__ = ("__weakref__", "cuts", "edges", "final", "minlen", "uid")
    _table: ClassVar[weakref.WeakValueDictionary[tuple[object, ...], Dag]] = weakref.WeakValueDictionary()
    _uids = itertools.count()

    def __init__(self, edges: tuple[tuple[int, int, Dag], ...], final: bool, uid: int) -> None:
        self.edges, self.final, self.uid = edges, final, uid
        self.minlen: int = 0 if final else 1 + min(child.minlen for _, _, child in edges)
        self.cuts: int = 0
        for low, high, _ in edges:
            self.cuts |= 1 << low | 1 << (high + 1)

    @classmethod
    def of(cls, edges: Iterable[tuple[int, int, Dag]], final: bool = False) -> Dag:
        merged: list[tuple[int, int, Dag]] = []
        for low, high, child in sorted(edges, key=lambda e: e[0]):
            if merged and merged[-1][2] is child and merged[-1][1] + 1 == low:
                merged[-1] = (merged[-1][0], high, child)
            else:
                merged.append((low, high, child))
        key = (final, *((low, high, child.uid) for low, high, child in merged))
        found = cls._table.get(key)
        if found is None:
            found = cls._table.setdefault(key, cls(tuple(merged), final, next(cls._uids)))
        return found

    def step(self, byte: int) -> Dag | None:
        """The state after `byte`, or None."""
        for low, high, child in self.edges:
            if low <= byte <= high:
                return child
        return None


END = Dag.of((), final=True)


def merge(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, disjoint, valid code point ranges (surrogates removed)."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(_without_surrogates(ranges)):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for low, high in ranges:
        for a, b in ((low, min(high, 0xD7FF)), (max(low, 0xE000), min(high, 0x10FFFF))):
            if a <= b:
                yield a, b


def code_points(ranges: Iterable[tuple[int, int]]) -> Dag | None:
    """One code point within inclusive `ranges`, as UTF-8; None when there is none."""
    merged = merge(ranges)
    ascii_edges = [(low, min(high, 0x7F), END) for low, high in merged if low < 0x80]
    others = _beyond_ascii(tuple([(max(low, 0x80), high) for low, high in merged if high >= 0x80]))
    edges = [*ascii_edges, *others.edges] if others else ascii_edges
    return Dag.of(edges) if edges else None


@lru_cache(maxsize=1 << 10)  # sets made of one class and some letters share this part, which takes milliseconds
def _beyond_ascii(ranges: tuple[tuple[int, int], ...]) -> Dag | None:
    sequences: list[list[tuple[int, int]]] = []
    for low, high in ranges:
        floor = 0
        for limit, size in _LIMITS:
            a, b = max(low, floor), min(high, limit)
            if a <= b:
                _split(a, b, size, sequences)
            floor = limit + 1
    return _from_sequences(sequences) if sequences else None


def _split(low: int, high: int, size: int, out: list[list[tuple[int, int]]]) -> None:
    """Cut [low, high] (all of `size` UTF-8 bytes) into runs in which every byte position is a range of its own."""
    for position in range(size - 1, 0, -1):
        span = (1 << (6 * position)) - 1
        if low & ~span != high & ~span:
            if low & span:
                _split(low, low | span, size, out)
                _split((low | span) + 1, high, size, out)
                return
            if high & span != span:
                _split(low, (high & ~span) - 1, size, out)
                _split(high & ~span, high, size, out)
                return
    first, last = chr(low).encode(), chr(high).encode()
    out.append(list(zip(first, last, strict=True)))


def _from_sequences(sequences: list[list[tuple[int, int]]]) -> Dag:
    """Sequences come in order and their heads are equal or disjoint, so grouping by head gives the graph."""
    groups: dict[tuple[int, int], list[list[tuple[int, int]]]] = {}
    for head, *tail in sequences:
        groups.setdefault(head, []).append(tail)
    return Dag.of((low, high, _from_sequences(tails) if tails[0] else END) for (low, high), tails in groups.items())


def options(words: Iterable[bytes]) -> Dag | None:
    """Exactly one of `words`; None when there are none."""
    ordered = sorted(set(words))
    if not ordered:
        return None
    # open[i]: edges and finality of the state after i bytes of the word before
    open_: list[tuple[list[tuple[int, int, Dag]], bool]] = [([], False)]
    last = b""
    for word in ordered:
        _close(open_, last, _common(last, word))
        open_.extend(([], False) for _ in range(len(word) + 1 - len(open_)))
        open_[len(word)] = (open_[len(word)][0], True)
        last = word
    _close(open_, last, 0)
    return Dag.of(*open_[0])


def _close(open_: list[tuple[list[tuple[int, int, Dag]], bool]], word: bytes, keep: int) -> None:
    while len(open_) > keep + 1:
        state = Dag.of(*open_.pop())
        byte = word[len(open_) - 1]
        open_[-1][0].append((byte, byte, state))


def _common(a: bytes, b: bytes) -> int:
    n = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        n += 1
    return n
