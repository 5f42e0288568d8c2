"""A shortcut for wide states: most tokens are plain text, and plain text is treated alike inside a string.

Plain code points fall into groups (a-z, A-Z, 0-9, each ASCII sign, everything beyond ASCII). A state often treats all
code points of a group alike; then it treats all tokens alike that are made of the same groups and are of the same
length, and they are allowed or forbidden together, without walking the trie. What is left is walked: tokens with
code points that are not plain, and those with groups that lead elsewhere.

Slices of the vocabulary are llguidance's idea; groups and lengths make it exact for classes and counters as well.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from ._native import Trie, signatures
from .byteset import Dag, code_points

Mask = npt.NDArray[np.int32]

PLAIN = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0x10FFFF))  # not: controls, '"', '\\', DEL
LONGEST = 16  # code points of the longest token that is grouped
_WIDE = ((0x61, 0x7A), (0x41, 0x5A), (0x80, 0x10FFFF), (0x30, 0x39), (0x20, 0x20))
_SIGNS = [c for c in range(0x21, 0x7F) if not chr(c).isalnum() and c not in (0x22, 0x5C)]
GROUPS = (*_WIDE, *((c, c) for c in _SIGNS))  # inclusive ranges; those that most tokens have come first
EVERY = (1 << len(GROUPS)) - 1
FEW = 1 << 14  # tokens that are tried one by one rather than by walking the whole trie


def _edges(dag: Dag) -> bytes:
    """A byte graph as int32 rows of (node, low byte, high byte, next node or -1 at the end), for `Dfa.common`."""
    numbers, rows, todo = {dag.uid: 0}, [], [dag]
    while todo:
        node = todo.pop()
        for low, high, child in node.edges:
            if child.edges and child.uid not in numbers:
                numbers[child.uid] = len(numbers)
                todo.append(child)
            rows.append((numbers[node.uid], low, high, numbers[child.uid] if child.edges else -1))
    return np.array(sorted(rows), np.int32).tobytes()


def _group_edges() -> tuple[bytes, ...]:
    return tuple(_edges(dag) for group in GROUPS if (dag := code_points([group])) is not None)


GROUP_EDGES = _group_edges()


def covers_plain(dag: Dag) -> bool:
    """Whether `dag` is a set of single code points that includes the plain ones."""
    found = _covering.get(dag)
    if found is None:
        plain = code_points(PLAIN)
        found = _covering[dag] = plain is not None and _covers(dag, plain)
    return found


_covering: weakref.WeakKeyDictionary[Dag, bool] = weakref.WeakKeyDictionary()


def _covers(dag: Dag, part: Dag) -> bool:
    if not part.edges:
        return dag is part
    return all(
        (child := dag.step(byte)) is not None and _covers(child, below)
        for low, high, below in part.edges
        for byte in range(low, high + 1)
    )


@dataclass(frozen=True, slots=True)
class Plain:
    """How a state takes plain code points: groups (bit sets) that all lead to `target`, those that are dead, and the
    others."""

    target: int
    alive: int
    dead: int

    @property
    def other(self) -> int:
        return EVERY & ~(self.alive | self.dead)


class Slices:
    """The plain tokens of one vocabulary by groups and length. `rest`: the trie of the other tokens."""

    def __init__(self, token_bytes: list[bytes | None]) -> None:
        groups = bytearray([255] * 129)
        for number, (low, high) in enumerate(GROUPS):
            for c in range(low, min(high, 0x7F) + 1):
                groups[c] = number
        groups[128] = 2
        lengths, bits = signatures(token_bytes, bytes(groups), LONGEST)
        self.rest = Trie(token_bytes, lengths)
        keys = np.frombuffer(bits, np.uint64) << np.uint64(8) | np.frombuffer(lengths, np.uint8)
        kinds, self._kind = np.unique(keys, return_inverse=True)  # of each token
        self._groups, self._lengths = kinds >> np.uint64(8), (kinds & np.uint64(255)).astype(np.uint8)
        self.upto = lru_cache(maxsize=256)(self._upto)

    def _of(self, groups: int) -> npt.NDArray[np.bool_]:
        """Which kinds of tokens are of these groups alone."""
        others: npt.NDArray[np.uint64] = self._groups & np.uint64(EVERY & ~groups)
        inside: npt.NDArray[np.bool_] = np.logical_and(others == 0, self._lengths > 0)
        return inside

    def _upto(self, groups: int, length: int) -> Mask:
        """The mask of the tokens of these groups alone, with at most `length` code points."""
        bits = np.zeros(-(-len(self._kind) // 32) * 32, np.bool_)
        bits[: len(self._kind)] = (self._of(groups) & (self._lengths <= length))[self._kind]
        return np.packbits(bits, bitorder="little").view(np.int32)

    def lengths(self, groups: int) -> frozenset[int]:
        """The lengths that tokens of these groups alone have."""
        return frozenset(self._lengths[self._of(groups)].tolist())

    @cached_property
    def _having(self) -> list[Mask]:
        """For each group the ids of the tokens that have a code point of it."""
        of_kind = [self._groups >> np.uint64(i) & np.uint64(1) for i in range(len(GROUPS))]
        return [np.flatnonzero(has.astype(np.bool_)[self._kind]).astype(np.int32) for has in of_kind]

    def having(self, groups: int) -> Mask | None:
        """The ids of the tokens with a code point of any of `groups` (some twice); None when they are many."""
        found = [ids for i, ids in enumerate(self._having) if groups >> i & 1]
        if sum(map(len, found)) > FEW:
            return None
        return np.concatenate(found) if found else np.zeros(0, np.int32)
